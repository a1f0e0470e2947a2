"""Which models serve whom, as one value: it never changes; changing it gives the next one.

A model is *live* (it decides), the *canary* (it decides for a share of the users), the *shadow* (it scores beside the
one that decides, and only counts of that are kept), or else a *candidate*. This is said once for everybody, and again
for each tenant that has stages of its own.
"""

import enum
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

EVERYBODY: Final = ""
"""Stands for all tenants without stages of their own."""
WHOLE: Final = 100.0
CHANGES_KEPT: Final = 100
EARLIER_KEPT: Final = 8

# The person parameter of BLAKE2 makes it another hash per purpose; its number is the version of the assignment.
_ASSIGNMENT: Final = b"canary-1"
_PLACES: Final = float(1 << 64)


class Stage(enum.StrEnum):
    """What a model is used for."""

    LIVE = "live"
    CANARY = "canary"
    SHADOW = "shadow"
    CANDIDATE = "candidate"


class Serving(msgspec.Struct, frozen=True, omit_defaults=True):
    """The versions that serve a tenant; empty: none. `earlier` were live before, the latest first."""

    live: str
    canary: str = ""
    percent: float = 0.0
    """The share of users that the canary decides for, above 0 to 100."""
    shadow: str = ""
    earlier: tuple[str, ...] = ()

    def stage_of(self, version: str) -> Stage:
        """The stage of a version."""
        stages = {self.shadow: Stage.SHADOW, self.canary: Stage.CANARY, self.live: Stage.LIVE}
        return stages.get(version, Stage.CANDIDATE)


class Change(msgspec.Struct, frozen=True):
    """What was changed, when (Unix microseconds), by whom and why."""

    revision: int
    time_us: int
    tenant: str
    version: str
    stage: Stage
    percent: float
    actor: str
    why: str


class Stages(msgspec.Struct, frozen=True):
    """Who is served by what. `tenants` has `EVERYBODY`; `changes` are the last ones, oldest first."""

    tenants: Mapping[str, Serving]
    revision: int = 0
    changes: tuple[Change, ...] = ()

    def of(self, tenant: str) -> Serving:
        """What serves a tenant."""
        return self.tenants.get(tenant) or self.tenants[EVERYBODY]

    def versions(self) -> frozenset[str]:
        """All versions that serve anybody, or that only score beside."""
        return frozenset(
            version for each in self.tenants.values() for version in (each.live, each.canary, each.shadow) if version
        )


class Wanted(NamedTuple):
    """A change that somebody asks for. `percent` counts for a canary only."""

    version: str
    stage: Stage
    actor: str
    tenant: str = EVERYBODY
    percent: float = 0.0
    why: str = ""


class StageError(Exception):
    """A change that makes no sense; the message is one sentence."""


def starting(live: str) -> Stages:
    """The stages where nobody has changed anything: one model for all."""
    return Stages({EVERYBODY: Serving(live)})


def is_in_canary(user_id: str, canary: str, percent: float) -> bool:
    """Whether the canary decides for a user.

    It depends on the user, the canary and the share alone. A larger share has all users of a smaller one; another
    canary has other users.
    """
    hashed = hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8, person=_ASSIGNMENT)
    hashed.update(b"\x00" + canary.encode())
    return int.from_bytes(hashed.digest(), "little") / _PLACES * WHOLE < percent


def changed(stages: Stages, wanted: Wanted, time_us: int) -> Stages:
    """The stages after a change.

    A model has one stage only: a canary that becomes live is no longer the canary. What is so already stays as it is.

    Raises:
        StageError: a canary without a share, or a live model that is to be something else.
    """
    before = stages.of(wanted.tenant)
    if wanted.stage is not Stage.LIVE and wanted.version == before.live:
        message = f"{wanted.version} is live; make another one live first."
        raise StageError(message)
    if wanted.stage is Stage.CANARY and not 0.0 < wanted.percent <= WHOLE:
        message = "A canary decides for more than 0% and at most 100% of the users."
        raise StageError(message)
    after = _moved(before, wanted)
    return stages if after == before else _next(stages, wanted, after, time_us)


def rolled_back(stages: Stages, tenant: str, actor: str, why: str, time_us: int) -> Stages:
    """The stages without the canary; if there is none, with the model that was live before.

    A tenant that had nothing before is served as everybody again.

    Raises:
        StageError: there is nothing to go back to.
    """
    if tenant not in stages.tenants:
        message = f"The tenant {tenant!r} has no stages of its own."
        raise StageError(message)
    before = stages.tenants[tenant]
    after: Serving | None
    if before.canary:
        after = msgspec.structs.replace(before, canary="", percent=0.0)
        wanted = Wanted(before.canary, Stage.CANDIDATE, actor, tenant, why=why)
    elif before.earlier:
        after = msgspec.structs.replace(before, live=before.earlier[0], earlier=before.earlier[1:])
        wanted = Wanted(after.live, Stage.LIVE, actor, tenant, why=why)
    elif tenant != EVERYBODY:
        after = None
        wanted = Wanted(stages.tenants[EVERYBODY].live, Stage.LIVE, actor, tenant, why=why)
    else:
        message = "There is no canary, and no model was live before."
        raise StageError(message)
    return _next(stages, wanted, after, time_us)


def _moved(before: Serving, wanted: Wanted) -> Serving:
    version = wanted.version
    live, earlier = before.live, before.earlier
    canary, percent = (before.canary, before.percent) if before.canary != version else ("", 0.0)
    shadow = before.shadow if before.shadow != version else ""
    match wanted.stage:
        case Stage.LIVE if version != live:
            live, earlier = version, (live, *earlier)[:EARLIER_KEPT]
        case Stage.CANARY:
            canary, percent = version, wanted.percent
        case Stage.SHADOW:
            shadow = version
        case _:
            pass
    return Serving(live, canary, percent, shadow, earlier)


def _next(stages: Stages, wanted: Wanted, serving: Serving | None, time_us: int) -> Stages:
    revision = stages.revision + 1
    percent = wanted.percent if wanted.stage is Stage.CANARY else 0.0
    change = Change(revision, time_us, wanted.tenant, wanted.version, wanted.stage, percent, wanted.actor, wanted.why)
    tenants = {name: each for name, each in stages.tenants.items() if name != wanted.tenant}
    if serving is not None:
        tenants[wanted.tenant] = serving
    return Stages(tenants, revision, (*stages.changes, change)[-CHANGES_KEPT:])
