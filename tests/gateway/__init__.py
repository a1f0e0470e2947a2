"""The gateway against recording services behind real gRPC servers."""
