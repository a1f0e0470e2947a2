"""The way to Redis, to a cluster of it, and to the embedded server."""
