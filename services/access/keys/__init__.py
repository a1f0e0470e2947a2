"""The keys: what there are, what each may do, and when each was last used."""
