"""Whether the mesh's CPU per event has grown, relative to an afternoon's work in the same run.

`python -m bench.guard` measures, and `--record` saves the result in bench/guard.json; a change that makes the mesh
faster, or knowingly slower, records again. Absolute times are not compared: they are valid for one machine and one day.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Final, NamedTuple

from bench.harness import sides
from bench.sections import turns
from bench.sections.turns import Offered

RECORD: Final = Path(__file__).parent / "guard.json"
# Below either side's capacity, in large requests and with few probes: what remains is work per event, not per batch.
_OFFERED: Final = Offered(3_000, 500, 5)
_PROBE_SECONDS: Final = 5.0
# Few enough that all have their 20 last events after the first seconds, because cost depends on the size of states.
_USERS: Final = 250
_SECONDS: Final = 4
_ROUNDS: Final = 6


class Recorded(NamedTuple):
    """The mesh's CPU per event over that of an afternoon's work, and the share it may grow by."""

    ratio: float
    margin: float

    @property
    def limit(self) -> float:
        """The largest ratio that counts as noise."""
        return self.ratio * (1 + self.margin)


def recorded() -> Recorded:
    """The content of bench/guard.json."""
    return Recorded(**json.loads(RECORD.read_text(encoding="utf-8")))


def measured(enough: float = 0.0) -> float:
    """The current ratio, the median of all rounds; stops after half of them if it is at most `enough`."""
    ratios: list[float] = []
    with sides.both() as (ours, theirs):
        turns.warm([ours, theirs], users=_USERS)
        while len(ratios) < _ROUNDS:
            both = {"mesh": ours, "afternoon": theirs}
            found = turns.take(both, _OFFERED, _SECONDS, 1, _USERS, probe_period_seconds=_PROBE_SECONDS)
            ratios.append(turns.cpu(found.measured["mesh"]) / turns.cpu(found.measured["afternoon"]))
            if len(ratios) >= _ROUNDS // 2 and statistics.median(ratios) <= enough:
                break
    return statistics.median(ratios)


def main() -> None:
    """Measures, prints and perhaps records."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument("--record", action="store_true", help="save the result as what must not grow")
    arguments = parser.parse_args()
    before, ratio = recorded(), measured()
    print(f"CPU per event: {ratio:.2f} x an afternoon's work; recorded {before.ratio:.2f}, limit {before.limit:.2f}")
    if arguments.record:
        RECORD.write_text(json.dumps(before._replace(ratio=round(ratio, 2))._asdict()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
