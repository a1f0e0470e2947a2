"""One conformance suite a port, run over every adapter."""
