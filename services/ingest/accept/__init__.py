"""The api: accepts events, gives receipts, keeps what failed."""
