"""What an experiment found, from a table of its users."""
