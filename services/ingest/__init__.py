"""Ingest: the only way in for events, and what passes them on.

Decides what is an event, and whether it was seen before.
Owns event ids seen, receipts, failed events, checkpoints, the archive.
Calls video, features, scoring and intervention, in this order, batch by batch (dispatcher).
Runs as processes of one role each: `api` answers gRPC, `dispatcher` and `archiver` consume the stream.
When the store is down, `api` answers UNAVAILABLE and has accepted nothing; the dispatcher waits and retries.
When a service is down, the dispatcher keeps its position and retries. When one record fails and others do not, its
events are kept as failed events with the reason.
"""
