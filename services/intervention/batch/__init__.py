"""Deciding a batch: its rows, its users, what it writes."""
