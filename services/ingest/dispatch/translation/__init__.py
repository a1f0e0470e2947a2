"""Between the domain's words and messages."""
