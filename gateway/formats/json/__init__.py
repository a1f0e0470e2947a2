"""JSON as clients really send it: batches with broken elements, NaN, members of the wrong type."""
