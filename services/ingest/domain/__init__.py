"""What an event is, when it may be accepted, and where it belongs. Pure."""
