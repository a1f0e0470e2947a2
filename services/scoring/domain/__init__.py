"""How likely a user is to leave, why, and how sure that is. Pure: values in, values out; no clock, no I/O."""
