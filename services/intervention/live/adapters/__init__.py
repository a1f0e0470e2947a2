"""The ways from those who tell to those who watch."""
