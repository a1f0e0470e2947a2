"""gRPC between the processes: channels, interceptors, deadlines, mutual TLS."""
