"""Lets go what the archive has kept for its days, for each tenant, and says beforehand what goes (docs/privacy.md)."""
