"""Questions answered by DuckDB and NumPy from the copies, in a process that can be killed."""
