"""Anybody's data: rows of a file, by a mapping, as journeys, and a declared label as snapshots of them."""
