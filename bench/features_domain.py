"""What one event costs in the features domain: decode + apply + vector + encode, once an event, on one core.

Run: `PYTHONPATH=.:gen python -m bench.features_domain`.
The worst case for the mesh: no two events of a batch share a user.
"""

import random
import time
from collections.abc import Sequence

import msgspec

from services.features.domain.event import Click, Event, Kind
from services.features.domain.journey import apply
from services.features.domain.state import SECOND_US, State
from services.features.domain.vector import vector

USERS = 200
ROUNDS = 40
START_US = 1_767_312_000 * SECOND_US


def typical(seed: int) -> list[Event]:
    """Forty events of somebody who gets on, with a little trouble: two sessions of two minutes."""
    draw = random.Random(seed)
    kinds = [Kind.PAGE_VIEW] * 5 + [Kind.FEATURE_INTERACTION] * 4 + [Kind.CLICK] * 5 + [Kind.TASK_SUCCESS, Kind.ERROR]
    at_us, events = START_US, []
    for index in range(ROUNDS):
        at_us += draw.randint(1, 9) * SECOND_US + (86_400 * SECOND_US if index == ROUNDS // 2 else 0)
        kind = draw.choice(kinds)
        page = f"/page/{draw.randint(1, 12)}"
        click = Click(10.0, 20.0, effect_observed=draw.random() < 0.95) if kind == Kind.CLICK else None
        event_id = f"01J{draw.getrandbits(100):026d}"
        events.append(Event(event_id, kind, at_us, page, f"element-{draw.randint(1, 9)}", platform=1, click=click))
    return events


def struggling(seed: int) -> list[Event]:
    """Forty events of somebody for whom nothing works, within four minutes."""
    draw = random.Random(seed)
    kinds = [Kind.PAGE_VIEW, Kind.ERROR, Kind.RETRY, Kind.HELP_REQUEST, Kind.CLICK, Kind.TASK_FAILURE]
    at_us, events = START_US, []
    for index in range(ROUNDS):
        at_us += draw.randint(1, 9) * SECOND_US
        kind = draw.choice(kinds)
        click = Click(effect_observed=False) if kind == Kind.CLICK else None
        events.append(Event(f"01J{seed:010d}{index:016d}", kind, at_us, "/calculator", "rate", platform=1, click=click))
    return events


def measure(journeys: Sequence[Sequence[Event]]) -> tuple[float, float]:
    """Microseconds an event and bytes a state at the end."""
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(State).decode
    states = [encode(State())] * len(journeys)
    begun = time.perf_counter()
    for index in range(ROUNDS):
        for user, journey in enumerate(journeys):
            state = decode(states[user])
            apply(state, journey[index])
            vector(state)
            states[user] = encode(state)
    seconds = time.perf_counter() - begun
    return seconds / (ROUNDS * len(journeys)) * 1e6, sum(map(len, states)) / len(states)


def main() -> None:
    """Prints the best of five runs for each kind of user."""
    for name, story in (("typical", typical), ("struggling", struggling)):
        journeys = [story(seed) for seed in range(USERS)]
        runs = [measure(journeys) for _ in range(5)]
        print(f"{name:12} {min(us for us, _ in runs):6.2f} us an event   {runs[0][1]:6.0f} bytes a state")


if __name__ == "__main__":
    main()
