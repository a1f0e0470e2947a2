"""Whatever is done to a stored chain, verification finds it, and an intact chain never complains."""

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.audit.adapters import heads
from services.access.audit.adapters.memory import MemoryChain
from services.access.audit.domain.entry import EMPTY, Act, Head, Row, chained
from services.access.audit.domain.verification import Fault, Page, Progress
from services.access.audit.usecases import Audit, Signing, verify
from tests.access.test_audit_store import acts, audit_over, of_nobody
from tests.builders import NOW_US

TEXTS = st.text(max_size=20)
ACTS = st.builds(
    Act,
    st.binary(min_size=16, max_size=16),
    st.integers(0, 1 << 53),
    TEXTS,
    TEXTS,
    TEXTS,
    st.sampled_from([b"", b"t" * 16]),
)


@dataclasses.dataclass
class Stored:
    """A chain as somebody who owns the store can change it: every row, its hash, the base and the head."""

    rows: list[Row]
    base: Head
    head: Head

    async def read(self, after: int, most: int) -> Page:
        """As `Chain.read`: rows are found by the number they are stored under."""
        begin = max(after, self.base.sequence)
        before = {row.sequence: row.hash for row in self.rows}.get(begin, b"")
        rows = [row for row in self.rows if row.sequence > begin][:most]
        hash_before = self.base.hash if begin == self.base.sequence else before
        return Page([row.stored for row in rows], begin + 1 if rows else 0, hash_before, self.head)

    def verified(self, signed: Mapping[int, bytes] | None = None) -> Progress:
        """What verification says."""
        return asyncio.run(verify(self.read, signed or {}, lambda *_: None))


def kept(made: list[Act], dropped: int = 0) -> Stored:
    """An intact chain, of which retention has removed some."""
    rows = chained(EMPTY, made)
    base = Head(dropped, rows[dropped - 1].hash) if dropped else EMPTY
    return Stored(rows[dropped:], base, Head(rows[-1].sequence, rows[-1].hash))


MADE = st.lists(ACTS, min_size=2, max_size=12)


@given(MADE, st.data())
def test_an_intact_chain_never_complains(made: list[Act], data: st.DataObject) -> None:
    stored = kept(made, data.draw(st.integers(0, len(made) - 1)))
    signed = {row.sequence: row.hash for row in chained(EMPTY, made) if data.draw(st.booleans())}
    progress = stored.verified(signed)
    assert (progress.first, progress.last, progress.hash) == (stored.rows[0].sequence, len(made), stored.head.hash)


@given(MADE, st.data())
def test_any_flipped_bit_is_found_where_it_is(made: list[Act], data: st.DataObject) -> None:
    stored = kept(made, data.draw(st.integers(0, len(made) - 1)))
    place = data.draw(st.integers(0, len(stored.rows) - 1))
    row = stored.rows[place]
    changed = bytearray(row.stored)
    bit = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[bit // 8] ^= 1 << bit % 8
    stored.rows[place] = dataclasses.replace(row, stored=bytes(changed))
    with pytest.raises(Fault) as fault:
        stored.verified()
    assert fault.value.sequence == row.sequence


@given(MADE, st.data())
def test_any_dropped_row_is_found(made: list[Act], data: st.DataObject) -> None:
    stored = kept(made)
    row = stored.rows.pop(data.draw(st.integers(0, len(made) - 1)))
    with pytest.raises(Fault) as fault:
        stored.verified()
    assert fault.value.sequence == row.sequence


@given(MADE, st.data())
def test_any_swapped_rows_are_found(made: list[Act], data: st.DataObject) -> None:
    stored = kept(made)
    first, second = sorted(data.draw(st.lists(st.integers(0, len(made) - 1), min_size=2, max_size=2, unique=True)))
    one, other = stored.rows[first], stored.rows[second]
    stored.rows[first] = dataclasses.replace(other, sequence=one.sequence)
    stored.rows[second] = dataclasses.replace(one, sequence=other.sequence)
    with pytest.raises(Fault) as fault:
        stored.verified()
    assert fault.value.sequence == one.sequence


@given(MADE, ACTS, st.data())
def test_any_inserted_row_is_found(made: list[Act], forged: Act, data: st.DataObject) -> None:
    stored = kept(made)
    place = data.draw(st.integers(0, len(made)))
    before = Head(place, stored.rows[place - 1].hash) if place else EMPTY
    stored.rows.insert(place, chained(before, [forged])[0])
    with pytest.raises(Fault):
        stored.verified()


@given(MADE, st.data())
def test_a_cut_tail_is_found_by_the_head_or_by_signed_heads(made: list[Act], data: st.DataObject) -> None:
    stored, whole = kept(made), kept(made).head
    stored.rows = stored.rows[: data.draw(st.integers(1, len(made) - 1))]
    with pytest.raises(Fault, match="The tail is cut"):
        stored.verified()
    stored.head = Head(stored.rows[-1].sequence, stored.rows[-1].hash)
    stored.verified()
    with pytest.raises(Fault, match="a signed head names entry"):
        stored.verified({whole.sequence: whole.hash})


@given(MADE, MADE)
def test_a_chain_that_was_made_anew_is_found_by_signed_heads(made: list[Act], other: list[Act]) -> None:
    whole, forged = kept(made).head, kept([*other, *made])
    forged.verified()
    if chained(EMPTY, [*other, *made])[whole.sequence - 1].hash != whole.hash:
        with pytest.raises(Fault):
            forged.verified({whole.sequence: whole.hash})


def test_a_change_in_a_long_chain_is_found_where_it_is() -> None:
    stored = kept(acts(*range(3_500)), 700)
    row = stored.rows[1_799]
    stored.rows[1_799] = dataclasses.replace(row, stored=row.stored.replace(b"k1", b"k2"))
    with pytest.raises(Fault, match="Entry 2500 was changed") as fault:
        stored.verified()
    assert fault.value.sequence == 2_500


async def test_retention_may_remove_entries_while_they_are_read() -> None:
    chain = MemoryChain()
    for first in (0, 500, 1_000, 1_500):
        await audit_over(chain).record(of_nobody(*range(first, first + 500)))
    rows = chained(EMPTY, acts(*range(2_000)))

    async def read(after: int, most: int) -> Page:
        page = await chain.read(after, most)
        await chain.drop(0, Head(1_200, rows[1_199].hash))
        return page

    progress = await verify(read, {}, lambda *_: None)
    assert (progress.first, progress.last) == (1_201, 2_000)


async def test_heads_are_signed_once_while_nothing_is_added_and_are_read_back(tmp_path: Path) -> None:
    path, key_path = tmp_path / "heads.jsonl", tmp_path / "key.pem"
    audit = audit_over(MemoryChain())
    signing = Signing(audit, heads.opened(path, key_path), lambda: NOW_US)
    assert key_path.stat().st_mode & 0o777 == 0o600
    assert not await signing.sign()
    await audit.record(of_nobody(1, 2))
    assert [await signing.sign(), await signing.sign()] == [True, False]
    await audit.record(of_nobody(3))
    again = Signing(audit, heads.opened(path, key_path), lambda: NOW_US)
    assert [await again.sign(), await again.sign()] == [True, False]
    kept_heads = heads.read(path)
    assert (sorted(kept_heads.hashes), kept_heads.newest) == ([2, 3], await audit.head())
    assert kept_heads.public_key in path.read_text().splitlines()[0]
    assert (await verify(audit.read, kept_heads.hashes, lambda *_: None)).count == 3


async def _signed(tmp_path: Path) -> Path:
    """A file with two heads."""
    audit: Audit = audit_over(MemoryChain())
    path = tmp_path / "heads.jsonl"
    signing = Signing(audit, heads.opened(path, tmp_path / "key.pem"), lambda: NOW_US)
    for number in (1, 2):
        await audit.record(of_nobody(number))
        await signing.sign()
    return path


async def test_a_changed_line_of_heads_is_refused(tmp_path: Path) -> None:
    path = await _signed(tmp_path)
    whole = path.read_text()
    for before, after in (('"sequence": 2', '"sequence": 3'), ('"signature": "', '"signature": "00'), ("{", "[")):
        path.write_text(whole.replace(before, after))
        with pytest.raises(heads.HeadsError):
            heads.read(path)
    path.write_text("")
    with pytest.raises(heads.HeadsError, match="no public key"):
        heads.read(path)


async def test_an_unfinished_line_is_left_out_and_removed_by_the_next_start(tmp_path: Path) -> None:
    path = await _signed(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"version": 1, "seq')
    assert heads.read(path).newest.sequence == 2
    assert heads.opened(path, tmp_path / "key.pem").newest.sequence == 2
    assert path.read_bytes() == whole


async def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = await _signed(tmp_path)
    with pytest.raises(heads.HeadsError, match="another key"):
        heads.opened(path, tmp_path / "other.pem")
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(heads.HeadsError, match="no private key"):
        heads.opened(path, tmp_path / "none.pem")
    with pytest.raises(heads.HeadsError, match="cannot be used"):
        heads.opened(tmp_path / "missing" / "heads", tmp_path / "key.pem")
