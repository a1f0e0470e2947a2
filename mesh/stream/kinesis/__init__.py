"""The stream on Kinesis: `writer` appends, `reader` reads, `client` is what both speak through."""

from mesh.stream.kinesis.client import connect
from mesh.stream.kinesis.reader import KinesisReader
from mesh.stream.kinesis.writer import KinesisWriter

__all__ = ["KinesisReader", "KinesisWriter", "connect"]
