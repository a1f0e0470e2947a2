"""Erases people: suppresses their events, then erases them in every service, and writes a receipt (docs/privacy.md)."""
