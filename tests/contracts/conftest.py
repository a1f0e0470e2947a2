"""The emulators, for every port that has an adapter on AWS."""

from tests.kinesis import kinesalite_url, moto_url

__all__ = ["kinesalite_url", "moto_url"]
