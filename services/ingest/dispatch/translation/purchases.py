"""The purchases and refunds of a batch, for the customers service."""

from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import customers_pb2

from records.table import Table

_PURCHASE = event_pb2.EVENT_TYPE_PURCHASE


def purchases_of(table: Table) -> list[customers_pb2.PurchaseRow]:
    """A row for each purchase or refund that no bot made, in the order of the table.

    A copy in a known user's journey has the id of its original.
    """
    if _PURCHASE not in table.event_type:
        return []
    return [
        customers_pb2.PurchaseRow(
            user_id=table.user_id[row],
            event_id=(table.has("copied_event_id") and table.copied_event_id[row]) or table.event_id[row],
            event_time_us=table.event_time_us[row],
            purchase=purchase,
        )
        for row, purchase in table.details_of("purchase").items()
        if table.event_type[row] == _PURCHASE and not (table.has("is_bot") and table.is_bot[row])
    ]
