"""The verbs of the customers service."""
