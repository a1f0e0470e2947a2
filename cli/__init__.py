"""The `journeymesh` command: a thin client of the gateway, the services and the offline commands."""

import os

# gRPC reads it when it is loaded, and would say of each process that ends that its connection did.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
