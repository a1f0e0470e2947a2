"""Text on a terminal."""

import datetime as dt

from google.protobuf.timestamp_pb2 import Timestamp


def plain(text: object) -> str:
    """A client's text without control characters, which a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in str(text))


def minute(of: Timestamp) -> str:
    """A time in UTC, to the minute."""
    return f"{of.ToDatetime(dt.UTC):%Y-%m-%d %H:%M}"
