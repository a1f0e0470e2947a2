"""Ingest's ports, made of memory, of Redis, and of the mesh's stream."""
