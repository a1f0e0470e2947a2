"""What customers will buy, and their segments, from a table of purchases or from the archive."""
