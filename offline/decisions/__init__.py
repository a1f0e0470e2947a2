"""Archived decisions: derived again, by another policy or model, and what that would have been worth."""
