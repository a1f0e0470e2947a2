"""Decisions on help as pure values: what was known, what was done, and why."""
