"""What takes time is not measured by a clock that may be set: who asks that of the machine is known, and why."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WALL = {
    "services/customers/servicer.py": "tells how many days ago a customer ordered last",
    "services/customers/predictions.py": "foretells from today on",
    "services/customers/segments.py": "by which day segments are assigned",
    "mesh/leases/memory.py": "for tests; a lease holds for as long as its clock goes on, as in Redis",
    "mesh/stream/memory.py": "for tests; when a record was appended",
    "gateway/access/door.py": "whether a key has ended",
    "gateway/app.py": "when a request was received",
    "services/ingest/dispatch/dispatcher.py": "when an event failed and when one was applied, as clients are shown",
    "services/ingest/accept/replaying.py": "when an event was received again",
    "services/ingest/accept/servicer.py": "when what could not be read came",
    "services/scoring/usecases.py": "when a stage of a model was changed, as its readers are shown",
    "services/analytics/bootstrap.py": "when a release began to run",
    "services/analytics/usecases.py": "when a segment was saved or changed",
    "services/analytics/running.py": "when a job was asked for, begun and ended, and until when it is held",
    "services/analytics/watching.py": "when an incident was found or seen, and until when it is not told",
    "services/analytics/servicer.py": "which day is today, where a question does not say",
    "services/analytics/gauges.py": "which days are over, by which weeks are compared",
    "services/experiments/usecases.py": "when an experiment was changed, and for how many days it ran",
    "services/experiments/servicer.py": "when outcomes came whose report does not say, and for how many days it ran",
    "services/ingest/erasure/usecases.py": "when an erasure began, settled and was done, for all processes",
    "services/ingest/export/usecases.py": "when an export was asked for and ready, for all processes",
    "services/ingest/retention/usecases.py": "which day is today, by which the archive is laid out",
    "services/ingest/accept/usecases.py": "when events were received, which gives the day their ids are remembered by",
    "services/access/audit/usecases.py": "when an act was done on the command line, and which entries are old",
    "services/access/keys/usecases.py": "when keys are created and end, for all processes, and when they were used",
    "services/access/limits/usecases.py": "when limits are full again, for all processes",
    "services/access/people/usecases.py": "when sessions begin and end, for all processes",
    "mesh/webhook.py": "the time that is signed, and dates in `Retry-After`",
    "services/intervention/language/usecases/analysis.py": "when a user was analyzed, as the answer says",
    "services/intervention/language/usecases/models.py": "whose day's budget pays; when a question began and ended",
    "services/intervention/batch/deciding.py": "the day that counts, until when help waits for words",
    "services/intervention/policy/adapters/experiments.py": "whether what was signed is older than a day",
    "services/intervention/policy/recording.py": "when the first policy, which has no start, was recorded",
    "services/intervention/policy/usecases.py": "from when on a policy holds, for all processes",
    "services/intervention/reading.py": "which policy holds, and whether help has run out",
    "services/intervention/delivery/usecases.py": "what is due, until when it is claimed, when it was sent",
    "services/intervention/gauges.py": "when an outcome was reported, and which policy was in force",
    "services/intervention/language/usecases/prompts.py": "when a prompt was first used, as it is told",
    "services/intervention/language/usecases/copywriting.py": "whether help has run out, and when its words came",
    "cli/customers.py": "when what is foretold of customers was learnt",
    "cli/demo.py": "a mark of its own for each run",
    "cli/explanation.py": "times of day, as a watch shows them",
}


def rooms() -> Iterator[Path]:
    """All that runs."""
    for name in ("mesh", "cli", "gateway", "services"):
        yield from (ROOT / name).rglob("*.py")


def asks_wall_clock(tree: ast.AST) -> bool:
    """Whether a `Clock` of the machine's time is called, or `system_clock`, by whatever it is bound to."""
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if any(ast.unparse(func) == "time.time" for func in called):
        return True
    names = [func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called]
    return any(name.endswith(("clock", "time_ns")) and "monotonic" not in name for name in names)


def test_who_asks_the_clock_of_the_machine_is_known() -> None:
    asking = {
        str(path.relative_to(ROOT))
        for path in rooms()
        if path.name != "clock.py" and asks_wall_clock(ast.parse(path.read_text()))
    }
    assert asking == set(WALL), "a duration? take a monotonic clock, or the loop's"


@pytest.mark.parametrize(
    "line", ["until = self._clock() + 5", "a = clock()", "system_clock()", "x = time.time_ns()", "time.time()"]
)
def test_a_wall_clock_is_seen(line: str) -> None:
    assert asks_wall_clock(ast.parse(line))


@pytest.mark.parametrize("line", ["monotonic_clock()", "self._monotonic()", "loop.time()", "self._monotonic_clock()"])
def test_a_monotonic_clock_is_let_through(line: str) -> None:
    assert not asks_wall_clock(ast.parse(line))
