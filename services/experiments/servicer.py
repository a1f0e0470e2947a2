"""The gRPC face of the experiments service."""
