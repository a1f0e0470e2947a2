"""The user's own time zone, as last known, decides hours and days, also for events that bring none."""

import datetime as dt
import zoneinfo

import pytest

from services.intervention.batch.effects import Created
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome
from services.intervention.policy.domain.policy import EventKind
from tests.intervention.builders import MINUTE, Row, World, edited, outcome

STUCK = {"score": 55.0, "indicators": ("form_errors",)}


def at(zone: str, *local: int) -> int:
    """A time on the clock of a zone, in Unix microseconds."""
    return int(dt.datetime(*local, tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


def local(at_us: int, zone: str) -> tuple[int, ...]:
    """Day of the week (Monday is 0), hour and minute on the clock of a zone."""
    local = dt.datetime.fromtimestamp(at_us / 1e6, zoneinfo.ZoneInfo(zone))
    return local.weekday(), local.hour, local.minute


async def known(world: World, zone: str, at_us: int) -> None:
    """A user who welcomes mail, and whose zone is known for an hour."""
    await world.send(*(outcome(Outcome.ACCEPTED, channel="email", at_us=at_us, time_zone=zone) for _ in range(4)))


async def mailed(world: World, at_us: int, zone: str = "") -> Created:
    (made,) = await world.send(Row(at_us=at_us, time_zone=zone, **STUCK))  # type: ignore[arg-type]
    assert made.intervention.channel == "email"
    return made


@pytest.mark.parametrize(
    ("zone", "happens", "leaves"),
    [
        ("Asia/Tokyo", (2026, 1, 7, 20, 0), (3, 9, 0)),  # 11:00 UTC, in the middle of a working day
        ("Asia/Tokyo", (2026, 1, 9, 18, 30), (0, 9, 0)),  # Friday evening
        ("Asia/Tokyo", (2026, 1, 12, 9, 30), (0, 9, 30)),  # Monday morning, which in UTC has just begun
        ("America/Los_Angeles", (2026, 1, 9, 16, 0), (4, 16, 0)),  # Friday afternoon, in UTC Saturday
        ("America/Los_Angeles", (2026, 1, 7, 4, 0), (2, 9, 0)),
        ("Europe/Berlin", (2026, 3, 29, 12, 0), (0, 9, 0)),  # the Sunday on which clocks go forward
        ("Europe/Berlin", (2026, 10, 25, 12, 0), (0, 9, 0)),  # and back
        ("Pacific/Kiritimati", (2026, 1, 5, 9, 0), (0, 9, 0)),  # Monday, in UTC Sunday evening
    ],
)
async def test_business_hours_are_those_of_the_last_known_zone(
    zone: str, happens: tuple[int, ...], leaves: tuple[int, ...]
) -> None:
    world, at_us = World(), at(zone, *happens)
    await known(world, zone, at_us)
    made = await mailed(world, at_us)
    assert local(made.intervention.send_us, zone) == leaves
    assert made.decision.facts.time_zone == (await world.last()).facts.time_zone == zone
    (claimed,) = await world.outbox.claim("email", 1 << 62, 10, 1)
    assert local(claimed.entry.message.due_us, zone) == leaves


async def test_a_late_message_stays_out_of_the_users_own_quiet_hours() -> None:
    zone = "Asia/Tokyo"
    world = World(edited(office_hours={"opens": 0, "closes": 23}))
    at_us = at(zone, 2026, 1, 7, 20, 0)
    await known(world, zone, at_us)
    await mailed(world, at_us)
    (claimed,) = await world.outbox.claim("email", 1 << 62, 10, 1)
    assert local(claimed.entry.message.expires_us, zone) == (2, 21, 0)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "America/New_York"])
async def test_a_day_of_the_caps_ends_at_the_users_own_midnight(zone: str) -> None:
    world = World(edited(caps=[{"most": 1, "per": "day"}], cooldown="1m"))
    for day, hour, minute, is_helped in ((7, 23, 40, True), (7, 23, 50, False), (8, 0, 10, True), (8, 23, 50, False)):
        at_us = at(zone, 2026, 1, day, hour, minute)
        sent_zone = zone if (day, minute) == (7, 40) else ""  # only the first event has it
        made = await world.send(Row(80.0, at_us, time_zone=sent_zone))
        assert bool(made) is is_helped
        await world.send(outcome(Outcome.ACCEPTED, made[0].intervention.id if made else "", at_us=at_us, time_zone=""))
    assert (await world.reading.decisions_of_user("ada", 9))[1].verdict.reasons[0] is Reason.FREQUENCY_CAP


@pytest.mark.parametrize(("month", "hour_utc"), [(1, 7), (7, 6)])
async def test_quiet_hours_end_by_the_clock_in_winter_and_in_summer(month: int, hour_utc: int) -> None:
    zone = "Europe/Berlin"
    world = World(edited(office_hours={"opens": 0, "closes": 23}))
    at_us = at(zone, 2026, month, 7, 3, 0)
    await known(world, zone, at_us)
    made = await mailed(world, at_us)
    assert local(made.intervention.send_us, "UTC")[1:] == (hour_utc, 0)


async def test_the_zone_of_the_event_comes_first_and_is_kept() -> None:
    world = World(edited(office_hours={"opens": 0, "closes": 23}))
    at_us = at("Asia/Tokyo", 2026, 1, 7, 3, 0)  # 18:00 UTC on the day before
    await known(world, "Asia/Tokyo", at_us)
    made = await mailed(world, at_us, "Europe/London")
    assert made.intervention.send_us == at_us
    await world.send(Row(80.0, at_us + MINUTE, time_zone=""))
    assert (await world.last()).facts.time_zone == "Europe/London"


async def test_the_zone_goes_with_the_person() -> None:
    world = World()
    await world.send(Row(80.0, user_id="anon", time_zone="Asia/Tokyo"))
    await world.link("anon", "ada", at("UTC", 2026, 1, 7, 9, 5))
    await world.send(Row(80.0, at("UTC", 2026, 1, 7, 9, 30), time_zone=""))
    assert (await world.last()).facts.time_zone == "Asia/Tokyo"


async def test_nothing_is_kept_of_somebody_only_for_the_zone() -> None:
    world = World()
    await world.send(Row(10.0), Row(10.0, kind=EventKind.SESSION_END))
    assert await world.state.load(["user:ada"]) == [None]
