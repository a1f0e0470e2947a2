"""Events on their way to ingest: read one by one, joined with other requests' events, and a verdict for each."""
