"""What the published Segment clients send, taken as they send it.

`calls` are the routes, `messages` reads one message, `names` tells what an event's name means, `video` and `told` what
its properties and its context do. docs/clients.md has the whole mapping in words.
"""
