"""Settings of the experiments service."""
