"""The purchases and refunds of a batch, and what it declares of users, for the customers service."""

from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import customers_pb2

from records.table import Table

_PURCHASE = event_pb2.EVENT_TYPE_PURCHASE
_IDENTIFY = event_pb2.EVENT_TYPE_IDENTIFY
_NOTHING = (b"", b"{}")


def purchases_of(table: Table) -> list[customers_pb2.PurchaseRow]:
    """A row for each purchase or refund that no bot made, in the order of the table.

    A copy in a known user's journey has the id of its original.
    """
    if _PURCHASE not in table.event_type:
        return []
    return [
        customers_pb2.PurchaseRow(
            user_id=table.user_id[row],
            event_id=_original(table, row),
            event_time_us=table.event_time_us[row],
            purchase=purchase,
        )
        for row, purchase in table.details_of("purchase").items()
        if table.event_type[row] == _PURCHASE and not _is_bot(table, row)
    ]


def traits_of(table: Table) -> list[customers_pb2.TraitsRow]:
    """A row for each identifying event with properties that no bot made, likewise."""
    if _IDENTIFY not in table.event_type or not table.has("properties"):
        return []
    return [
        customers_pb2.TraitsRow(
            user_id=table.user_id[row],
            event_id=_original(table, row),
            event_time_us=table.event_time_us[row],
            traits=table.properties[row],
        )
        for row, kind in enumerate(table.event_type)
        if kind == _IDENTIFY and table.properties[row] not in _NOTHING and not _is_bot(table, row)
    ]


def _original(table: Table, row: int) -> str:
    return (table.has("copied_event_id") and table.copied_event_id[row]) or table.event_id[row]


def _is_bot(table: Table, row: int) -> bool:
    return table.has("is_bot") and table.is_bot[row]
