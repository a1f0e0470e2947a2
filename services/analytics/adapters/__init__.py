"""Files through Arrow, and DuckDB in processes that can be killed."""
