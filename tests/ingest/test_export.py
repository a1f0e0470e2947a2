"""Exports: everything that is kept of a person and nothing of others; every step may be interrupted."""

import csv
import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from mesh.state.exporting import Record, record
from records.tenants import qualified
from services.ingest.accept.adapters.memory import MemoryIdentities, MemorySkews
from services.ingest.accept.domain.holders import How, Span, written
from services.ingest.accept.domain.skew import observe
from services.ingest.erasure.adapters.memory import MemoryErasures
from services.ingest.erasure.adapters.own import OwnRecords
from services.ingest.erasure.usecases import Behind
from services.ingest.events.adapters.memory import MemoryFailedEvents, MemorySuppressions
from services.ingest.events.domain.event import FailedEvent
from services.ingest.events.domain.suppression import pseudonym
from services.ingest.export.adapters.memory import MemoryExports
from services.ingest.export.domain import export as exports
from services.ingest.export.domain.export import Export, Part, Step
from services.ingest.export.domain.rendering import csv_files, json_document
from services.ingest.export.usecases import ArchiveExporting, Exported, Exporting
from tests.archive.test_erasing import Standings, filled
from tests.builders import NOW_US


class Killed(BaseException):
    """The process ends here."""


@dataclasses.dataclass
class World:
    """One service and the audit log, which survive; a call may be the last of a process."""

    kept: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"ada": "A", "a-1": "B", "bob": "C"})
    acts: list[tuple[str, str, bool]] = dataclasses.field(default_factory=list)
    now_us: int = NOW_US
    trouble: Exception | None = None
    has_archive: bool = False
    calls: int = 0
    last_call: int = 10**9

    def __post_init__(self) -> None:
        self.records = OwnRecords(MemoryIdentities(), MemorySkews(), MemoryFailedEvents())
        self.exports, self.suppressions = MemoryExports(), MemorySuppressions()

    def note(self) -> None:
        self.calls += 1
        if self.calls >= self.last_call:
            self.last_call = 10**9
            raise Killed

    async def export(self, user_ids: Sequence[str]) -> Sequence[Record]:
        self.note()
        if self.trouble is not None:
            raise self.trouble
        return [record("service.users", {"key": each, "said": self.kept[each]}) for each in user_ids]

    async def record(self, act: str, erasure_id: str, subject: str, time_us: int, *, is_user: bool) -> None:
        self.note()
        self.acts.append((act, subject, is_user))

    async def create(self, export: Export) -> None:
        self.note()
        await self.exports.create(export)

    async def save(self, export: Export, part: Part | None = None, packed: bytes = b"") -> None:
        self.note()
        await self.exports.save(export, part, packed)
        self.note()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.exports, name)

    def exporting(self) -> Exporting:
        """A process that works on exports."""
        return Exporting(
            kept=self,
            turns=MemoryErasures(),
            suppressions=self.suppressions,
            links=self.records,
            sources=[self, self.records],
            audit=self,
            clock=lambda: self.now_us,
            random_bytes=bytes,
            has_archive=self.has_archive,
        )

    async def run(self) -> None:
        """A process takes steps until it is killed or there are none."""
        for one in await self.exports.all():
            await self.exporting().advance(one)

    async def document(self, export_id: str) -> Any:
        return json.loads(await self.exporting().data(export_id, as_csv=False))


@settings(deadline=None, max_examples=30)
@given(stops=st.lists(st.integers(1, 6), max_size=5))
async def test_whatever_interrupts_it_an_export_ends_as_if_nothing_had(stops: list[int]) -> None:
    world = World()
    await world.records.identities.link({"a-1": "ada", "b-1": "bob"})
    begun = await world.exporting().create("ada")
    for stop in stops:
        world.last_call = world.calls + stop
        try:
            await world.run()
        except Killed:
            world.now_us += 1
    world.last_call = 10**9
    await world.run()
    ready = await world.exporting().read(begun.id)
    assert (ready.step, ready.user_ids, ready.record_count) == (Step.READY, (), 5)
    document = await world.document(begun.id)
    assert document["version"] == 1
    assert document["stores"]["ids"] == [{"id": "a-1"}, {"id": "ada"}]
    assert document["stores"]["service.users"] == [{"key": "a-1", "said": "B"}, {"key": "ada", "said": "A"}]
    assert world.acts == [("export.request", "ada", True)]


async def test_nothing_is_exported_that_cannot_be_recorded() -> None:
    world = World(last_call=1)
    with pytest.raises(Killed):
        await world.exporting().create("ada")
    assert await world.exports.all() == []


async def test_what_ingest_keeps_is_exported_without_others_who_had_the_device() -> None:
    world = World()
    records = world.records
    shared = written([Span(9, How.LINKED, "ada"), Span(5, How.LINKED, "bob"), Span(1, How.REFUSED, "zoe")], "a-1")
    await records.identities.link({"a-1": shared, "b-1": "bob"})
    await records.skews.keep(dict.fromkeys(["u:ada", "d:phone\nada", "u:bob"], observe(None, NOW_US, NOW_US)))
    await records.failed.add(
        [
            FailedEvent(f"f-{user}", "POISON", "", NOW_US, "e", user, b'{"page":"/x"}', b"", "api")
            for user in ("ada", "bob")
        ]
    )
    begun = await world.exporting().create("ada")
    await world.run()
    stores = (await world.document(begun.id))["stores"]
    assert [each["device"] for each in stores["ingest.clocks"]] == ["d:phone\nada", "u:ada"]
    assert [(each["id"], each["payload"]) for each in stores["ingest.failedEvents"]] == [("f-ada", '{"page":"/x"}')]
    (link,) = stores["ingest.links"]
    assert [each["user_id"] for each in link["spans"]] == ["ada", "", ""]
    assert "bob" not in json.dumps(stores)
    assert "zoe" not in json.dumps(stores)


async def test_a_service_that_is_away_keeps_it_and_too_much_ends_it() -> None:
    world = World(trouble=Unavailable("DEPENDENCY_UNAVAILABLE", "Away."))
    begun = await world.exporting().create("ada")
    await world.run()
    waiting = await world.exporting().read(begun.id)
    assert (waiting.step, waiting.trouble) == (Step.COLLECT, "DEPENDENCY_UNAVAILABLE")
    with pytest.raises(FailedPrecondition, match="EXPORT_UNFINISHED"):
        await world.document(begun.id)
    world.trouble = ResourceExhausted("EXPORT_TOO_LARGE", "Too much.")
    await world.run()
    failed = await world.exporting().read(begun.id)
    assert (failed.step, failed.trouble, failed.user_ids) == (Step.FAILED, "EXPORT_TOO_LARGE", ())


async def test_the_archive_is_exported_once_the_archiver_has_written_what_it_gathered(tmp_path: Path) -> None:
    world, standings = World(has_archive=True), Standings(dispatcher=9, archiver=3)
    archiving = ArchiveExporting(
        world.exports, MemoryErasures(), await filled(tmp_path), Behind(standings), lambda: NOW_US
    )
    begun = await world.exporting().create("ada")
    await world.run()
    await archiving.advance(await world.exporting().read(begun.id))
    assert (await world.exporting().read(begun.id)).step is Step.ARCHIVE
    standings.archiver = 9
    await archiving.advance(await world.exporting().read(begun.id))
    stores = (await world.document(begun.id))["stores"]
    assert [each["event_id"] for each in stores["archive.events"]] == ["e-1", "e-3"]
    assert {each["user_id"] for each in stores["archive.decisions"]} == {"ada"}


async def test_an_erasure_erases_the_exports_of_the_person_and_nobody_else_s() -> None:
    world = World()
    await world.records.identities.link({"a-1": "ada"})
    ada, bob = await world.exporting().create("ada"), None
    await world.run()
    world.kept = {"bob": "C"}
    bob = dataclasses.replace(world.exporting(), random_bytes=lambda length: b"b" * length)
    kept = await bob.create("bob")
    exported = Exported(world.exports, world.suppressions)
    assert await exported.count(["a-1"]) == {"ingest.exports": 1}
    for _ in range(2):
        await exported.erase(["a-1", "ada"], "pseudonym")
    assert await exported.count(["ada"]) == {"ingest.exports": 0}
    assert [each.id for each in await world.exports.all()] == [kept.id]
    await world.exports.save(ada)  # a process that did not know
    with pytest.raises(NotFound, match="EXPORT_NOT_FOUND"):
        await world.exporting().read(ada.id)


async def test_an_erased_person_is_not_exported() -> None:
    world = World()
    begun = await world.exporting().create("ada")
    await world.suppressions.add([pseudonym("ada", await world.suppressions.secret())], "e_1")
    await world.run()
    assert await world.exports.find(begun.id) is None
    with pytest.raises(FailedPrecondition, match="USER_ERASED"):
        await world.exporting().create("ada")
    with pytest.raises(InvalidArgument, match="INVALID_IDENTIFIER"):
        await world.exporting().create("")


_TEXTS = st.text(max_size=12) | st.sampled_from(["=1+1", "@SUM(A1)", "-2", "+3", "\t=x", "a,b", 'a"b', "a\nb"])


@given(said=st.lists(st.dictionaries(st.sampled_from(["a", "b", "=c"]), _TEXTS, min_size=1), min_size=1))
def test_no_cell_is_a_formula_and_no_text_is_lost(said: list[dict[str, str]]) -> None:
    export = Export("x_1", NOW_US, ("ada",), ("p",))
    said = [{name: text.replace("\x1f", "").replace("\r", "") for name, text in each.items()} for each in said]
    records = exports.unpack(exports.pack(record("service.users", each) for each in said))
    with zipfile.ZipFile(io.BytesIO(csv_files(export, records))) as packed:
        rows = [*csv.DictReader(io.StringIO(packed.read("service.users.csv").decode(), newline=""))]
    assert json.loads(json_document(export, records))["stores"]["service.users"] == said
    for row, each in zip(rows, said, strict=True):
        cells = {name.removeprefix("'"): cell for name, cell in row.items() if cell}
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in (*row, *cells.values()))
        assert {name: cell.removeprefix("'") for name, cell in cells.items()} == {
            name: text.removeprefix("'") for name, text in each.items() if text
        }


def test_ids_of_a_tenant_are_plain_in_what_leaves_the_mesh() -> None:
    ada = qualified("acme", "ada")
    export = Export(qualified("acme", "x_1"), NOW_US, (ada,), ("p",))
    records = [record("service.users", {"key": ada, ada: [{"device": f"d:phone\n{ada}"}]})]
    document = json.loads(json_document(export, records))
    assert document["exportId"] == "x_1"
    assert document["stores"] == {"service.users": [{"key": "ada", "ada": [{"device": "d:phone\nada"}]}]}
    assert b"acme" not in csv_files(export, records)


def test_an_export_is_stored_with_its_version() -> None:
    export = Export("x_1", NOW_US, ("ada",), ("p",), Step.ARCHIVE, 5, 1)
    assert exports.decode(exports.encode(export)) == export
    assert msgspec.msgpack.decode(exports.encode(export))[0] == 1
    assert "ada" not in repr(export)
