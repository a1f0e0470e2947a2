"""What some tests of analytics need."""

from tests.buckets import s3

__all__ = ["s3"]
