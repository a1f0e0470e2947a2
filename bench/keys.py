"""What checking a key costs per request, and per event of a public key, in CPU: `python -m bench.keys`."""

import time
import timeit
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from gateway.access.door import Door
from gateway.http.rates import Limit, Rates
from mesh.clock import monotonic_clock
from mesh.keys import Scope
from mesh.observability import telemetry
from tests.gateway.running import NOW_US
from tests.gateway.test_access import ADMIN, PUBLIC, SECRET, keyring

_TIMES: Final = 5_000
_ROUNDS: Final = 5
_OTHER_HEADERS: Final = {"host": "mesh.example", "accept": "*/*", "content-type": "application/json"}


def _request(headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - as much of a request as a door looks at
    fields = [(name.encode(), value.encode()) for name, value in {**_OTHER_HEADERS, **headers}.items()]
    return SimpleNamespace(scope={"headers": fields}, received_us=NOW_US, query={})


def _microseconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, timer=time.process_time, number=_TIMES, repeat=_ROUNDS)) / _TIMES * 1e6


def main() -> None:
    """Prints the least of some rounds."""
    door = Door(is_key_required=True, is_host_checked=False, cors_origins="")
    door.replace(keyring(PUBLIC, SECRET, ADMIN), NOW_US)
    for name, headers in (
        ("a secret key", SECRET.headers),
        ("a public key", PUBLIC.headers),
        ("a public key with a user's token", PUBLIC.proven()),
    ):
        request = _request(headers)
        cost = _microseconds(lambda request=request: door.admit(request, Scope.WRITE_EVENTS))  # type: ignore[misc]
        print(f"{cost:6.1f} µs per request with {name}")
    add = door.admit(_request(PUBLIC.headers), Scope.WRITE_EVENTS).guarded(lambda **_: None, lambda *_: None)
    _print_limits()
    print(f"{_microseconds(lambda: add(event_type=1, user_id='ada', rare={})):6.1f} µs per event of a public key")


def _print_limits() -> None:
    """Prints what a key with a limit, in a tenant with one, costs more."""
    rates = Rates(monotonic_clock, telemetry.off().metrics)
    limits = (Limit("key", "key:k", 1_000_000, 3_600_000_000), Limit("tenant", "tenant:t", 1_000_000, 3_600_000_000))

    def request() -> None:
        rates.admit(limits)
        rates.spend(limits, 99)
        rates.headers(limits)

    print(f"{_microseconds(request):6.1f} µs per request with a limit of its key and one of its tenant")


if __name__ == "__main__":
    main()
