"""Between the domain's words and the wire's messages."""
