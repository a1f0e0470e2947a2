"""What is stored, as released versions wrote it."""
