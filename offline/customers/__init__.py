"""What customers will buy and which of them need what, from a table of purchases."""
