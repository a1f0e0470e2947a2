"""What happened to a user, as those who watch are told."""
