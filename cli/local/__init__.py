"""A mesh on this machine: its programs, its store, and what starts, watches and ends them."""
