"""Dashboards and alerts name only what is told, and tell what they should."""
