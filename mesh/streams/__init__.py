"""Adapters of the stream port: `memory` for tests, `redis` for the embedded mesh, `kinesis` for AWS."""
