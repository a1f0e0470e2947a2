"""The gateway: the mesh's only door to the outside, REST in, gRPC out.

It decides what is well-formed: JSON, types, sizes. What each type of event needs, ingest decides. It stores nothing: a
request lives in memory until the service behind it has answered. It never answers 202 before ingest has acknowledged.
When a service fails, its routes answer 429, 503 or 504 with a reason and, where waiting helps, `Retry-After`; all other
routes keep working.

From the outside in; each package imports only those below it:

- `serving`, `app`: the server, and the ASGI application that turns a request into a route's answer
- `routes`: the table of routes, and what each of them does
- `contract`: what a route is, and the OpenAPI, AsyncAPI and HTML documents generated from the table
- `push`: server-sent events and WebSockets, and the watch that feeds both
- `core`: everything the routes work with, built once at start-up
- `accepting`: events on their way to ingest, and the verdicts on their way back
- `peers`: the services behind the gateway
- `formats`: JSON, Segment and CloudEvents to events, and messages back to JSON
- `transport`: TLS and connections, and the limits on them
- `http`: requests and answers, and the limits on them
"""
