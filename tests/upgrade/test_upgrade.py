"""The last released version and this one run mixed under load; nothing is lost, doubled, set aside or unreadable.

Every pod of a fleet is replaced by the other version's, process by process: those that are called before those that
call them, so that nobody is asked what it does not know yet, and back in the reverse order. `UPGRADE_FROM` is the ref
to start from (the newest tag), `UPGRADE_ROLLS` how often the whole fleet is replaced (2: forward and back).
"""

import itertools
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.crash.fleet import Fleet, Pod, sailing
from tests.crash.load import PATIENCE_SECONDS, Load, Tally, journeys
from tests.crash.outcome import await_archived, decided_events, decisions
from tests.crash.test_rolling import Balancer, _event_count, _sent_by_user
from tests.intervention.builders import edited
from tests.processes import RunningMesh
from tests.upgrade.builds import HERE, Build, built, newest_release

pytestmark = [pytest.mark.processes, pytest.mark.tools]

FROM: Final = os.environ.get("UPGRADE_FROM", "") or newest_release()
ROLLS: Final = int(os.environ.get("UPGRADE_ROLLS", "2"))
EVENTS: Final = 60_000 * ROLLS
USERS: Final = EVENTS // 20
READ_USERS: Final = 50
COUNTED_USERS: Final = 1_000
LAST: Final = 200
"""As many events as are sure to be of every shard: behind them nothing waits."""
SETTINGS: Final = {"JOURNEYMESH_SHARD_COUNT": "4", "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "1"}


def test_two_versions_side_by_side_lose_nothing_and_read_what_the_other_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = built(FROM) if FROM else HERE._replace(name="this version, for want of a tag (a clone without history?)")
    policy = tmp_path / "policy.yaml"
    policy.write_text(edited(freshness="31d"))  # the journeys are of the last days
    with sailing(tmp_path, SETTINGS | {"JOURNEYMESH_POLICY": str(policy)}, old) as fleet:
        balancer = Balancer([fleet.gateway(0), fleet.gateway(1)])
        versions = []
        with Load(balancer, journeys(USERS, EVENTS)) as load:
            try:
                for roll in range(ROLLS):
                    began = load.count()
                    _replace_all(fleet, old if roll % 2 else HERE, is_back=bool(roll % 2))
                    assert load.count() > began
                    _read(balancer)
                    versions.append(_versions(fleet))
                was_under_load = not load.is_over()
            finally:
                load.end()
        tally = load.total()
        gateway = fleet.gateway(0)
        for event_id in list(balancer.sent)[-LAST:]:
            gateway.await_applied(event_id, PATIENCE_SECONDS)
        sent = dict(itertools.islice(_sent_by_user(balancer).items(), COUNTED_USERS))
        counted = {user: _event_count(gateway, user) for user in sent}
        _read(balancer)
        await_archived(gateway)
        decided = decisions((tmp_path / "archive").as_uri())
        failed = _failed_reasons(gateway)
        with capsys.disabled():
            _report(old, tally, balancer, versions)

    assert was_under_load
    assert counted == {user: len(events) for user, events in sent.items()}
    assert decided_events(decided) == {user: len(events) for user, events in _sent_by_user(balancer).items()}
    assert len({each["decision_id"] for each in decided}) == len(decided)
    assert failed <= {"UNKNOWN_EVENT_TYPE"}  # what the load sends wrong on purpose
    assert any(each["kind"] == "intervene" for each in decided)


def _replace_all(fleet: Fleet, build: Build, *, is_back: bool) -> None:
    deployments = list(fleet.pods.values())
    for pods in reversed(deployments) if is_back else deployments:
        for pod in pods:
            _replace(pod, build)


def _replace(pod: Pod, build: Build) -> None:
    code = pod.stop()
    # A dispatcher or archiver of 0.1.0 may hang where its follower's cancellation was swallowed, and is killed then.
    ends_by_force = pod.deployment in {"dispatcher", "archiver"} and pod.build != HERE
    assert code == 0 or (code == -signal.SIGKILL and ends_by_force), (pod.name, code)
    pod.build = build
    pod.start()
    pod.await_ready()


def _read(balancer: Balancer) -> None:
    """All that is known of some users and the mesh can be read, whichever version wrote it."""
    sent = list(balancer.sent.values())  # which the load goes on adding to
    for user in sorted({event["userId"] for event in sent})[:READ_USERS]:
        for path in ("features", "profile", "risk", "videos", "events"):
            _get(balancer, f"/api/users/{user}/{path}")
        for decision in _get(balancer, f"/api/decisions?userId={user}&limit=100")["decisions"]:
            _get(balancer, f"/api/decisions/{decision['id']}")
        _get(balancer, f"/api/interventions/{user}/pending")
    assert _get(balancer, "/api/policies")["trouble"] == ""
    _get(balancer, "/api/lift")


def _get(balancer: Balancer, path: str) -> Any:
    """What a gateway says once the pod that is asked is there; what is unknown yet is no fault."""
    deadline = time.monotonic() + 30
    while (answer := balancer.call(lambda gateway: gateway.get(path))).status not in {200, 404}:
        assert answer.status == 503, (path, answer)
        assert time.monotonic() < deadline, (path, answer)
        time.sleep(0.1)
    return answer.body if answer.status == 200 else {"decisions": []}


def _versions(fleet: Fleet) -> set[str]:
    return {pod.build.name for pods in fleet.pods.values() for pod in pods}


def _failed_reasons(gateway: RunningMesh) -> set[str]:
    found: set[str] = set()
    cursor = ""
    while cursor is not None:
        page = gateway.get(f"/api/failed-events?limit=100&cursor={cursor}").body
        found |= {each["reason"] for each in page["failedEvents"]}
        cursor = page["nextCursor"]
    return found


def _report(old: Build, tally: Tally, balancer: Balancer, versions: Sequence[set[str]]) -> None:
    told = " -> ".join([old.name, *("+".join(sorted(each)) for each in versions)])
    print(f"\nupgrade: {told}: {tally.accepted:,} events accepted, {tally.repeats} requests sent again,")  # noqa: T201
    print(f"         {balancer.refused:,} connections refused and taken by the other gateway")  # noqa: T201
