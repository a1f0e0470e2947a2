"""Ports, implemented."""
