"""The stream on Kinesis: `writer` appends, `reader` reads, `client` is what both speak through."""

from mesh.streams.kinesis.client import connect
from mesh.streams.kinesis.reader import KinesisReader
from mesh.streams.kinesis.writer import KinesisWriter

__all__ = ["KinesisReader", "KinesisWriter", "connect"]
