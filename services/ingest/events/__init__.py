"""What accepting, dispatching and archiving share: events, the stream, failed events."""
