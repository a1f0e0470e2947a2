"""Options that several commands share."""

import argparse
import dataclasses
import datetime as dt
import os
from typing import Final

from mesh.settings import setting

_EVER_US: Final = 1 << 62
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def add_url(parser: argparse.ArgumentParser, hint: str = "") -> None:
    """Adds `--url`, the gateway's address."""
    default = "http://" + os.environ.get("JOURNEYMESH_HTTP_ADDRESS", "127.0.0.1:8080")
    parser.add_argument("--url", default=default, help=f"the gateway (default: %(default)s){hint}")


@dataclasses.dataclass(frozen=True)
class KeySettings:
    """The key that the command sends."""

    key: str = setting("JOURNEYMESH_KEY", "", "The key that the command sends to the gateway, if that requires one.")

    @property
    def headers(self) -> dict[str, str]:
        """What to send with each request."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}


def add_archive(parser: argparse.ArgumentParser) -> None:
    """Adds `--archive`, and the received times `--from` and `--to`."""
    parser.add_argument("--archive", required=True, help="file:///folder or s3://bucket/prefix")
    parser.add_argument("--from", dest="start_us", type=_moment_us, default=0, help="first received time, ISO 8601")
    parser.add_argument("--to", dest="stop_us", type=_moment_us, default=_EVER_US, help="received time to stop before")


def _moment_us(text: str) -> int:
    """Unix microseconds of an ISO 8601 time, which is UTC unless it names a zone."""
    at = dt.datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return (at - _EPOCH) // dt.timedelta(microseconds=1)
