"""The gateway: the mesh's one door to the outside, REST in, gRPC out.

Decides what is well-formed: JSON, types, sizes. What an event's kind needs, ingest decides.
Owns nothing; a request lives in memory until the service behind has answered it.
Calls ingest to accept events, and every service to read. Never answers 202 for what ingest has not acknowledged.
When a service fails, its routes answer 429, 503 or 504 with a reason and, where waiting helps, `Retry-After`;
the other routes go on.
"""
