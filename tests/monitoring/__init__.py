"""Dashboards and alerts name only metrics that exist, and show what they should."""
