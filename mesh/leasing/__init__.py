"""Adapters of the lease port: `memory` for tests, `redis` for whatever stream."""
