"""Pure modules: no I/O, no clock, no chance of their own."""
