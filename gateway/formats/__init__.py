"""The formats of events: ours (`native`), Segment's, CloudEvents; and messages back to JSON (`rendering`).

Every format has a function that reads one event and passes it, as the members of an `Event`, to a callback. `reading`
finds the right one for an event that is replayed.
"""
