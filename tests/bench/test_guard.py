"""No change makes the mesh much dearer per event without saying so."""

import psutil
import pytest

from bench import guard

_OTHERS_PERCENT = 30.0


@pytest.mark.processes
@pytest.mark.tools  # it needs the machine for itself: `.ci/run` runs it alone
def test_the_mesh_takes_no_more_cpu_per_event_beside_an_afternoon_s_work_than_recorded() -> None:
    others = psutil.cpu_percent(interval=2)
    if others > _OTHERS_PERCENT:
        pytest.skip(f"others take {others:.0f}% of the machine, which costs the side with more processes more")
    recorded = guard.recorded()
    ratio = guard.measured(enough=recorded.limit)
    assert ratio <= recorded.limit, (
        f"CPU per event is {ratio:.2f} x an afternoon's work; recorded was {recorded.ratio:.2f}. "
        "If it is worth it: python -m bench.guard --record"
    )


def test_the_recorded_margin_allows_noise_only() -> None:
    recorded = guard.recorded()
    assert recorded.ratio > 0
    assert 0 < recorded.margin <= 0.25
    assert recorded.limit == pytest.approx(recorded.ratio * (1 + recorded.margin))
