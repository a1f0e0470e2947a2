"""What the published Segment clients send, as they send it.

`batch` cuts a body into messages, `reader` reads one, `mapping` decides what event it becomes: `names` by its name,
`video` for players. `context` and `values` read what clients write in many ways. docs/clients.md has the whole mapping
in words.
"""
