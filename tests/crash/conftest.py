"""The emulator of Kinesis that keeps shards as AWS does."""

from tests.kinesis import kinesalite_url

__all__ = ["kinesalite_url"]
