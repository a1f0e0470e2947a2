"""Times in messages."""

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(at_us: int) -> Timestamp:
    """The protobuf form of Unix microseconds."""
    stamp = Timestamp()
    stamp.FromMicroseconds(at_us)
    return stamp
