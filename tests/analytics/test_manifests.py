"""A manifest is read with the tail that was made for it, whatever is written between two looks."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from services.analytics.adapters.copies import manifests
from services.analytics.adapters.copies.manifests import Manifests
from services.analytics.domain.layout import EVENTS, Partition
from services.analytics.domain.manifest import EMPTY, NO_TAIL, Manifest, Part, Tail


def manifest(number: int) -> Manifest:
    """One that holds so much; its tail begins there."""
    return EMPTY._replace(watermark_us=number, tail=tail(number, 1))


def tail(number: int, length: int) -> Tail:
    parts = {(EVENTS, Partition("acme", day)): Part(f"events-{number}.parquet", length) for day in range(length)}
    return Tail(frozenset({f"tail/v1/0-{number}-{number + length}.arrows"}), parts, number + length)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans(), st.booleans()), max_size=12))
def test_what_is_read_is_what_was_written_last(steps: list[tuple[int, int, bool, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        reader, expected = Manifests(root), EMPTY
        for number, length, is_whole, is_read in steps:
            if is_whole:
                manifests.write(root, manifest(number))
                expected = manifest(number)
            elif expected != EMPTY:
                now = manifests.read(root)
                expected = expected._replace(tail=tail(expected.watermark_us, length))
                manifests.write_tail(root, now.id, expected.tail)
            if is_read:
                assert reader.read()._replace(id="") == expected
        assert reader.read()._replace(id="") == manifests.read(root)._replace(id="") == expected
        assert len([*root.glob("tail-*.json")]) == (expected != EMPTY)


def test_a_manifest_of_before_there_were_tails_has_none(tmp_path: Path) -> None:
    manifests.write(tmp_path, manifest(1))
    (written,) = tmp_path.glob("tail-*.json")
    assert manifests.read(tmp_path).tail != NO_TAIL
    written.unlink()
    reader = Manifests(tmp_path)
    assert reader.read()._replace(id="") == manifest(1)._replace(tail=NO_TAIL)
    written.write_bytes(b'{"format":99}')
    assert reader.read().tail == NO_TAIL
