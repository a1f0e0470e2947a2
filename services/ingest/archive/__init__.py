"""The archiver: keeps events and decisions as Parquet files."""
