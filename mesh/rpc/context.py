"""The context of an RPC on its server, as the library passes it to handlers."""

from typing import Any, TypeAlias

import grpc

ServerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # quoted: the class is generic in its stub only
