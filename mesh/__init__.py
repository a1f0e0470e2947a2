"""The runtime every process shares. It knows no service and no message of the contracts.

process        start, health, probes, drain
rpc            gRPC between the processes
observability  traces, metrics, logs
store          Redis, and clusters of it
stream         the stream port and its adapters
leases         who reads which shard
state          state by key, effects once
"""

from typing import Final

VERSION: Final = "0.1.0"
"""The version of this release, as in `pyproject.toml` and the chart."""
