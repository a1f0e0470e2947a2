"""Adapters of the state port: `memory` for tests, `redis` for all else."""
