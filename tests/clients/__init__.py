"""Clients as they are published, pointed at a gateway."""
