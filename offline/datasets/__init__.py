"""Published behaviour of real people, each mapped to the events of the contract."""
