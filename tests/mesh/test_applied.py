"""Effects once: however a stream is delivered, the state and the answers are those of one undisturbed delivery."""

import itertools
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import AlreadyApplied, FailedPrecondition, InvalidArgument, VersionMismatch
from mesh.state import applied
from mesh.state.applied import Batch, BatchMessage


class Count:
    """One key whose state is the text of all that was applied to it."""

    def __init__(self) -> None:
        self.blob: bytes | None = None

    def apply(self, shard: str, sequences: tuple[int, ...], stream: str = "events", **members: bool) -> bytes:
        at = Batch(stream, shard, sequences, **members)
        resumed = applied.resume(self.blob, at)
        after = resumed.state + b"".join(b"%d;" % sequence for sequence in sequences)
        self.blob = applied.seal(resumed, after, at)
        return after


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=20), st.integers(0, 2**180))
def test_redelivery_in_any_cut_gives_the_state_of_one_delivery(steps: list[tuple[int, bool]], start: int) -> None:
    key, checkpoint, reached = Count(), start, start
    for length, is_crash in steps:
        batch = tuple(range(checkpoint, checkpoint + length))
        answer = key.apply("0", batch)
        assert answer == b"".join(b"%d;" % sequence for sequence in range(start, batch[-1] + 1))
        reached = batch[-1] + 1
        if not is_crash:
            checkpoint = reached
    assert applied.current(key.blob) == b"".join(b"%d;" % sequence for sequence in range(start, reached))


def test_a_sender_that_lost_its_shard_is_refused() -> None:
    key = Count()
    key.apply("0", (1, 2))
    key.apply("0", (3, 4))
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        key.apply("0", (1, 2, 3))


def test_a_user_that_moved_to_another_shard_goes_on_from_where_it_was() -> None:
    key = Count()
    key.apply("shardId-000000000007", (7,))
    key.apply("shardId-000000000012", (2,))
    key.apply("shardId-000000000012", (2, 3))
    assert applied.current(key.blob) == b"7;2;3;"


def test_a_sender_of_the_shard_that_the_user_has_left_is_refused() -> None:
    key = Count()
    key.apply("shardId-000000000007", (7,))
    key.apply("shardId-000000000012", (2,))
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        key.apply("shardId-000000000007", (7, 8))


def test_a_user_that_moved_to_another_stream_goes_on_from_where_it_was() -> None:
    key = Count()
    key.apply("1", (7,))
    key.apply("0", (2,), stream="kinesis")
    assert applied.current(key.blob) == b"7;2;"


def test_a_retracted_batch_leaves_the_state_as_it_was_before_it() -> None:
    key = Count()
    key.apply("0", (1, 2))
    key.apply("0", (3,))
    key.apply("0", (3,), is_retraction=True)
    assert applied.current(key.blob) == b"1;2;"
    key.apply("0", (3,), is_retraction=True)
    key.apply("0", (4,))
    assert applied.current(key.blob) == b"1;2;4;"


@pytest.mark.parametrize(
    "sequences", [[], ["x"], ["2", "1"], ["1", "1"], ["-1", "-2"], ["1_0"], ["+1"], [" 1"], ["²"], ["٣"], ["1" * 65]]
)
def test_a_batch_without_an_order_is_refused(sequences: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        applied.batch(message(sequences, "0"))


def message(sequences: list[str], shard: str) -> BatchMessage:
    return cast(
        "BatchMessage",
        SimpleNamespace(stream="events", shard=shard, sequences=sequences, lease_epoch=0, is_retraction=False),
    )


@given(st.sampled_from(["d", "i"]), st.text("abc-0123", min_size=1), st.integers(0, 2**190), st.integers(0, 5000))
def test_derived_ids_read_back(prefix: str, shard: str, sequence: int, index: int) -> None:
    text = applied.derived_id(prefix, shard, sequence, index)
    assert applied.parse_derived_id(text) == (prefix, shard, sequence, index)


def test_other_text_is_no_derived_id() -> None:
    for parts in itertools.product(["", "d"], ["", "0"], ["", "x", "²"], ["", "1"]):
        assert applied.parse_derived_id("-".join(parts)) is None


@pytest.mark.parametrize(
    "text",
    ["d-{3}:user:ada-7-0", "d-3}:user:ada-7-0", "d-3 -7-0", "d-3\n-7-0", "d-ü-7-0", "d-3-07-0", "d-3-7-00", "d-3-7-+0"],
)
def test_no_other_key_is_reached_by_an_id(text: str) -> None:
    assert applied.parse_derived_id(text) is None


@pytest.mark.parametrize("shard", ["", "{3}", "3}:user:ada", "3/4", "a b", "x" * 129])
def test_a_batch_of_no_shard_is_refused(shard: str) -> None:
    with pytest.raises(InvalidArgument):
        applied.batch(message(["1"], shard))


@pytest.mark.parametrize("again", [(3,), (3, 4), (3, 4, 5)])
def test_what_was_taken_back_moves_no_position(again: tuple[int, ...]) -> None:
    key = Count()
    key.apply("0", (1, 2))
    key.apply("0", (3,))
    key.apply("0", (3,), is_retraction=True)
    key.apply("0", (4,))
    key.apply("0", again)
    assert applied.current(key.blob) == b"".join(b"%d;" % each for each in (1, 2, *again))


def test_a_batch_that_begins_too_early_is_refused_with_the_position_of_the_shard() -> None:
    key = Count()
    for batch in ((1, 2), (3, 4), (5,)):
        key.apply("0", batch)
    with pytest.raises(AlreadyApplied) as stale:
        key.apply("0", (2, 3, 4, 5))
    assert stale.value.through == 4


def test_what_a_newer_version_wrote_waits_for_it_and_is_not_taken_for_damaged() -> None:
    newer = msgspec.msgpack.encode(["events/0", "-1", "1", b"", b"of tomorrow", applied.STATE_VERSION + 1, "more"])
    with pytest.raises(VersionMismatch):
        applied.opened(newer, Batch("events", "0", (2,)), bytes)
    with pytest.raises(VersionMismatch):
        applied.readable(newer, bytes)
    with pytest.raises(VersionMismatch):
        applied.current(newer)


def test_what_version_0_1_0_wrote_is_read() -> None:
    older = msgspec.msgpack.encode(["events/0", "-1", "1", b"", b"state"])
    assert applied.current(older) == b"state"
