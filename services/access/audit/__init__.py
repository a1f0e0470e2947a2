"""The audit log: what was done by whom, in a chain that nobody can change without being found out."""
