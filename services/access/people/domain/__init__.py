"""What a session of a person is."""
