"""Learns from all customers of a tenant, and keeps it where the customers service reads it."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from mesh.errors import FailedPrecondition
from offline.customers import refit
from offline.customers.fitting import FitError
from offline.customers.purchases import PurchaseError
from offline.customers.refit import Before
from records import tenants
from services.customers.domain import consumption
from services.customers.domain.fit import Fit
from services.customers.domain.purchases import History
from services.customers.ports import FitStore


async def learn(
    fits: FitStore,
    read: Callable[[], Mapping[str, History]],
    tenant: str,
    today: int | None,
    catalogue: AbstractSet[str] | None,
    now_ms: int,
) -> Fit:
    """Reads what customers bought, learns from it, and replaces what the store has.

    Args:
        fits: where it is kept.
        read: reads what each customer of the tenant bought, by plain ids.
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
    now = consumption.day_of(now_ms)
    if today is not None and today > now:
        raise FitError("The last complete day lies ahead: nobody has bought until then.")
    standing = await fits.standing(tenant)
    histories = {tenants.qualified(tenant, name): history for name, history in read().items()}
    days = [consumption.day_of(order.at) for history in histories.values() for order in history]
    if not days:
        raise PurchaseError("The archive holds no purchase of this tenant.")
    known = await fits.fit(tenant)
    before = Before(
        standing.members,
        standing.erased,
        known.groups if known else None,
        standing.inside,
        standing.erased_groups,
    )
    found = refit.refitted(histories, min(max(days), now) if today is None else today, before, catalogue, now_ms)
    if not await fits.replace(tenant, found.fit, found.members, found.inside, standing.erasures):
        raise FailedPrecondition("ERASURE_UNFINISHED", "Somebody was erased meanwhile. Do it again.")
    return found.fit
