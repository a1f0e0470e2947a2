"""Leases on shards: the port, its adapters `memory` and `redis`, and how consumers share shards."""
