"""How likely a user is to leave, why, and with which confidence. Pure functions; no clock, no I/O."""
