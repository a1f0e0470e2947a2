"""Ingest: the only way in for events, and what passes them on.

Decides what is an event, and whether it was seen before.
Owns event ids seen, receipts, failed events, checkpoints, the archive.
Calls video, features, scoring, intervention and customers, in this order, batch by batch (dispatcher), and all of these
and experiments to erase and export a person (api). Calls access for what was set for tenants: how their events are
masked (api), and how long the archive keeps them (archiver).
Runs as processes of one role each: `api` answers gRPC, `dispatcher` and `archiver` consume the stream;
`archiver` also says what retention deletes.
When the store is down, `api` answers UNAVAILABLE and has accepted nothing; the dispatcher waits and retries.
When access is down at its start, `api` answers UNAVAILABLE for events of tenants, and the archiver lets nothing go.
When a service is down, the dispatcher keeps its position and retries. When one record fails and others do not, its
events are kept as failed events with the reason.
"""
