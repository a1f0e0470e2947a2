"""What can be asked and answered, which file holds what, and what a question may cost. Pure."""
