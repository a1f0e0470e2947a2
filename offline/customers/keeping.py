"""Learns from all customers of a tenant, and keeps it where the customers service reads it."""

from collections.abc import Set as AbstractSet

from mesh.errors import FailedPrecondition
from offline.customers import refit
from offline.customers.fitting import FitError
from offline.customers.refit import Before, Source
from services.customers.domain import consumption
from services.customers.domain.fit import Fit
from services.customers.ports import FitStore


async def learn(
    fits: FitStore,
    source: Source,
    tenant: str,
    today: int | None,
    catalogue: AbstractSet[str] | None,
    now_ms: int,
) -> Fit:
    """Reads what customers bought, learns from it, and replaces what the store has.

    Args:
        fits: where it is kept.
        source: what each customer of the tenant bought, by qualified ids.
        tenant: whose customers; empty: the default tenant's.
        today: the last complete day, in days since 1970; None: that of the last order, at most today.
        catalogue: the products that can be bought; None: those that anybody bought in the last 90 days.
        now_ms: the time, in milliseconds since 1970.

    Raises:
        FitError: the customers are too few, or the day lies ahead.
        PurchaseError: there is no order.
        FailedPrecondition: `ERASURE_UNFINISHED`, somebody was erased meanwhile, and nothing was replaced.
        Unavailable: the store cannot be reached.
    """
    if today is not None and today > consumption.day_of(now_ms):
        raise FitError("The last complete day lies ahead: nobody has bought until then.")
    standing = await fits.standing(tenant)
    known = await fits.fit(tenant)
    before = Before(
        standing.members,
        standing.erased,
        known.groups if known else None,
        standing.grouped,
        standing.erased_groups,
    )
    found = refit.refitted(source, today, before, catalogue, now_ms)
    if not await fits.replace(tenant, found.fit, found.members, found.grouped, standing.erasures):
        raise FailedPrecondition("ERASURE_UNFINISHED", "Somebody was erased meanwhile. Do it again.")
    return found.fit
