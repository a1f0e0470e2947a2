"""Masks the events of a batch, column by column, and what could not be read as an event."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from services.ingest.accept.domain.masking.hint import suspects
from services.ingest.accept.domain.masking.json_text import masked_json
from services.ingest.accept.domain.masking.kinds import Masking
from services.ingest.accept.domain.masking.texts import masked_text
from services.ingest.accept.domain.page import PAGE_LENGTH
from services.ingest.accept.domain.tidying import (
    ID_LENGTH,
    PRODUCT_NAME_LENGTH,
    ROLE_LENGTH,
    SEGMENT_LENGTH,
    TARGET_LENGTH,
)
from services.ingest.events.domain.event import Kind, Table

CONTACT: Final = frozenset(("email", "pushTarget"))
"""What an identifying event says on purpose: where its user can be reached."""

# The columns that hold text, what clients call them, and how long they may be.
_COLUMNS: Final = (
    ("page", "page", PAGE_LENGTH),
    ("address", "page", PAGE_LENGTH),
    ("target", "target", TARGET_LENGTH),
    ("error_code", "errorCode", ID_LENGTH),
)
# Likewise of the details of an event.
_DETAILS: Final = (
    ("click", (("role", "role", ROLE_LENGTH),)),
    ("playback", (("content_type", "contentType", ID_LENGTH), ("topic", "topic", ID_LENGTH))),
    ("outcome", (("channel", "channel", ID_LENGTH),)),
    (
        "segment_change",
        (
            ("segment", "segment", SEGMENT_LENGTH),
            ("previous_segment", "previousSegment", SEGMENT_LENGTH),
            ("group", "group", SEGMENT_LENGTH),
            ("previous_group", "previousGroup", SEGMENT_LENGTH),
        ),
    ),
)
# Likewise of the products in a detail: the detail, its member that holds them, and their texts.
_PRODUCTS: Final = (
    ("purchase", "lines", (("name", PRODUCT_NAME_LENGTH), ("category", ID_LENGTH))),
    ("segment_change", "products", (("name", PRODUCT_NAME_LENGTH), ("reason", SEGMENT_LENGTH))),
)
CHANGED: Final = (*(name for name, _, _ in _COLUMNS), "properties")
"""The columns that masking changes; details are changed where they are."""
_PROPERTIES_BYTES: Final = 32 * 1024
_NOTHING: Final = b"{}"


class Masked(NamedTuple):
    """What was masked: the kind of every value, and by row the members with the kinds in them."""

    kinds: list[str]
    members: dict[int, dict[str, list[str]]]

    def add(self, row: int, member: str, kinds: Iterable[str]) -> None:
        """Adds the values masked in a member of a row."""
        self.kinds.extend(kinds)
        self.members.setdefault(row, {}).setdefault(member, []).extend(kinds)


def mask_table(table: Table, masking: Masking) -> Masked:
    """Masks the texts and properties of events in place. Ids stay, and so does the contact of an identifying event."""
    masked = Masked([], {})
    if not masking.kinds and not masking.names:
        return masked
    for name, member, most in _COLUMNS:
        if table.has(name):
            _mask_column(table.columns[name], member, most, masking, masked)
    for name, texts in _DETAILS:
        details = table.details_of(name)
        for attribute, member, most in texts if details else ():
            _mask_details(details, attribute, member, most, masking, masked)
    for name, member, its in _PRODUCTS:
        for row, detail in table.details_of(name).items():
            kinds = [kind for product in getattr(detail, member) for kind in _mask_product(product, its, masking)]
            if kinds:
                masked.add(row, member, kinds)
    if table.has("properties"):
        _mask_properties(table, masking, masked)
    return masked


def _mask_column(column: list[str], member: str, most: int, masking: Masking, masked: Masked) -> None:
    changes = _changes(column, most, masking)
    for row, cell in enumerate(column) if changes else ():
        if cell in changes:
            column[row], kinds = changes[cell]
            masked.add(row, member, kinds)


def _mask_details(
    details: Mapping[int, Any], attribute: str, member: str, most: int, masking: Masking, masked: Masked
) -> None:
    texts = {row: getattr(detail, attribute) for row, detail in details.items()}
    changes = _changes(texts.values(), most, masking)
    for row, text in texts.items() if changes else ():
        if text in changes:
            changed, kinds = changes[text]
            setattr(details[row], attribute, changed)
            masked.add(row, member, kinds)


def _mask_product(product: Any, texts: Iterable[tuple[str, int]], masking: Masking) -> list[str]:  # noqa: ANN401
    """Masks the texts of a line or of what is recommended, and returns the kinds of what they held.

    Its id is masked only where the shop gave none, and it is the product's name.
    """
    found: list[str] = []
    is_named = product.product_id == product.name
    for attribute, most in texts:
        text = getattr(product, attribute)
        changes = _changes([text], most, masking) if text else {}
        if changes:
            changed, kinds = changes[text]
            setattr(product, attribute, changed)
            found += kinds
    if is_named:
        product.product_id = product.name[:ID_LENGTH]
    return found


def _changes(texts: Iterable[str], most: int, masking: Masking) -> dict[str, tuple[str, list[str]]]:
    """What texts become, each with the kinds of what it held; those that stay are missing."""
    distinct = [*{*texts}]
    changes: dict[str, tuple[str, list[str]]] = {}
    for index in suspects([text.encode("utf-8", "surrogatepass") for text in distinct], masking):
        found: list[str] = []
        masked = masked_text(distinct[index], masking, found)
        if found:
            changes[distinct[index]] = masked[:most].rstrip(), found
    return changes


def _mask_properties(table: Table, masking: Masking, masked: Masked) -> None:
    column = table.properties
    for row in suspects(column, masking):
        found, cell = list[str](), column[row]
        kept = CONTACT if table.event_type[row] == Kind.IDENTIFY else ()
        changed = _as_text(cell, lambda text: masked_json(text, masking, found, kept))  # noqa: B023 - called at once
        if found:
            column[row] = changed if len(changed) <= max(len(cell), _PROPERTIES_BYTES) else _NOTHING
            masked.add(row, "properties", found)


def masked_payload(payload: bytes, masking: Masking, found: list[str]) -> bytes:
    """What was sent as an event and is none, with what it holds masked. It may be JSON, or any text.

    `found` gets the kind of each value that is masked.
    """
    if not suspects([payload], masking):
        return payload
    masked = _as_text(payload, lambda text: masked_json(text, masking, found))
    try:
        msgspec.json.decode(masked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        masked = _as_text(masked, lambda text: masked_text(text, masking, found))
    return masked if found else payload


def _as_text(blob: bytes, mask: Callable[[str], str]) -> bytes:
    """Masks bytes that may not be UTF-8; those that are not stay."""
    return mask(blob.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def personal_ids(ids: Iterable[str], masking: Masking) -> list[str]:
    """For each id that holds an e-mail address or a phone number, its kind; ids stay as they are."""
    column = [*filter(None, ids)]
    changes = _changes(column, 0, masking._replace(kinds=masking.kinds & {"email", "phone"}))
    return [kind for each in column if each in changes for kind in changes[each][1][:1]]
