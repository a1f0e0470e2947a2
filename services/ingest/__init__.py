"""Ingest: the only door for events, and the only hand that passes them on.

Decides what is an event, and whether it was seen before.
Owns event ids seen, receipts, failed events, checkpoints, the archive.
Calls video, features, scoring and intervention, in this order, batch by batch (dispatcher).
Runs as processes of one role each: `api` answers gRPC, `dispatcher` and `archiver` read the stream.
When the store fails, `api` answers UNAVAILABLE and has promised nothing; the dispatcher waits and tries again.
When a service fails, the dispatcher keeps its place and tries again; when one record fails and the others do not, the
record is set aside as failed events with its reason.
"""
