"""Exports people: collects what every service and the archive keep of a person (docs/privacy.md)."""
