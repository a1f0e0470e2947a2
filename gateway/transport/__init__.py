"""What lies under a request: TLS, accepting connections, and the limits that a connection and its heads must keep."""
