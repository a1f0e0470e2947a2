"""The stream: the port, and its adapters `memory`, `redis` and `kinesis`."""
