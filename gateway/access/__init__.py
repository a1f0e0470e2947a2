"""Who may do what: requests' keys are checked against a keyring, and routes and events against a key's rights."""
