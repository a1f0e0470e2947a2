"""Adapters for the ports of this room."""
