"""What a key is, what it may do, and when it ends."""
