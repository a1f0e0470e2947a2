"""What tenants mask beside the mesh: in their own events, never less than the mesh, and known before they are taken."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.access.v1 import access_pb2
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub, add_AccessServiceServicer_to_server
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import Unavailable
from records.table import of_events
from records.tenants import qualified
from services.access.keys.servicer import AccessServicer
from services.ingest.accept.domain.masking.kinds import KINDS, Masking
from services.ingest.accept.domain.masking.tables import mask_table
from services.ingest.accept.domain.masking.tenants import added, mask_each
from services.ingest.accept.usecases import MaskingOfTenants
from services.ingest.events.adapters.peer_tenants import PeerTenants
from services.ingest.events.domain.tenants import NONE, Settings, TenantSettings
from services.ingest.events.usecases import SettingsOfTenants
from tests.access.builders import World
from tests.builders import event
from tests.ingest.harness import ACCEPTED, running
from tests.serving import serving

USUAL: Final = Masking(frozenset({"email"}), frozenset({"birthday"}))
SETTINGS: Final[Settings] = {
    "acme": TenantSettings(0, frozenset({"phone"}), frozenset({"Order_Note"})),
    "globex": TenantSettings(30),
}
MAIL, PHONE = "ada@example.org", "+49 170 1234567"
TEXTS: Final = (MAIL, PHONE, "plain")


def made(tenant: str, number: int, text: str) -> event_pb2.Event:
    properties = f'{{"orderNote":"{text}","birthday":"{text}","other":"{text}"}}'.encode()
    of_click = event_pb2.Click(role=text) if number % 2 else None
    return event(
        qualified(tenant, f"e-{number}"),
        user_id=qualified(tenant, "ada"),
        page=f"/{text}" if number % 3 else "",
        properties=properties if number % 5 else b"",
        click=of_click,
    )


@given(st.lists(st.tuples(st.sampled_from(("", "acme", "globex")), st.sampled_from(TEXTS)), min_size=1, max_size=12))
def test_a_mixed_batch_is_masked_as_each_tenants_events_alone(drawn: list[tuple[str, str]]) -> None:
    maskings = added(USUAL, SETTINGS)
    batch: Any = of_events([made(tenant, number, text) for number, (tenant, text) in enumerate(drawn)])
    found = mask_each(batch, maskings)
    kinds = []
    for number, (tenant, text) in enumerate(drawn):
        alone: Any = of_events([made(tenant, number, text)])
        its = mask_table(alone, maskings.of(qualified(tenant, "x")))
        assert batch.event(number) == alone.event(0)
        assert found.members.get(number) == its.members.get(0)
        kinds += its.kinds
    assert sorted(found.kinds) == sorted(kinds)


def test_a_tenant_masks_more_than_the_mesh_and_never_less() -> None:
    maskings = added(USUAL, SETTINGS)
    assert maskings.of(qualified("acme", "x")) == Masking(
        frozenset({"email", "phone"}), frozenset({"birthday", "ordernote"})
    )
    assert maskings.own.keys() == {"acme"}
    assert maskings.of("x") == maskings.of(qualified("globex", "x")) == maskings.of(qualified("new", "x")) == USUAL


def test_the_contract_names_the_kinds_that_are_masked() -> None:
    named = [each.removeprefix("MASKED_KIND_").lower() for each in access_pb2.MaskedKind.keys()[1:]]
    assert named == [*KINDS]


async def test_events_of_tenants_wait_until_it_is_known_what_they_mask() -> None:
    tenants = SettingsOfTenants(None)
    async with running(masking=MaskingOfTenants(USUAL, tenants)) as harness:
        with pytest.raises(Unavailable) as refused:
            await harness.accept(made("", 1, PHONE), made("acme", 1, PHONE))
        assert refused.value.reason == "DEPENDENCY_UNAVAILABLE"
        assert list((await harness.accept(made("", 1, PHONE))).verdicts) == [ACCEPTED]
        tenants.now = SETTINGS
        accepted = await harness.accept(made("acme", 1, PHONE))
        assert list(accepted.verdicts) == [ACCEPTED]
        assert {each.member for each in accepted.warnings} == {"page", "properties", "role"}
        tenants.now = NONE
        after = await harness.accept(made("acme", 7, PHONE))
        assert [each.member for each in after.warnings] == ["properties"]  # the birthday, by the mesh


async def test_a_replayed_event_is_masked_as_its_tenant_masks_now() -> None:
    tenants = SettingsOfTenants(NONE)
    async with running(masking=MaskingOfTenants(USUAL, tenants)) as harness:
        await harness.accept(made("acme", 1, PHONE))
        failed_id = await harness.set_aside(qualified("acme", "e-1"))
        tenants.now = SETTINGS
        await harness.stub.ReplayFailedEvent(
            ingest_pb2.ReplayFailedEventRequest(id=failed_id, event=made("acme", 1, PHONE))
        )
        await harness.dispatch()
        assert [PHONE in each.page for each in harness.events()][-1] is False


async def test_what_cannot_be_read_is_masked_as_its_tenant_masks() -> None:
    async with running(masking=MaskingOfTenants(USUAL, SettingsOfTenants(SETTINGS))) as harness:
        for tenant in ("acme", "globex"):
            request = ingest_pb2.AcceptEventsRequest()
            request.unreadable.add(
                reason=error_reason_pb2.ERROR_REASON_INVALID_TYPE,
                payload=f'{{"orderNote":"{PHONE}","userId":7}}'.encode(),
                event_id=qualified(tenant, "e-1"),
                user_id=qualified(tenant, ""),
            )
            await harness.stub.AcceptEvents(request)
        failed, _ = await harness.failed.list(10, "")
        kept = {each.user_id: each.payload for each in failed}
        assert PHONE.encode() not in kept[qualified("acme", "")]
        assert PHONE.encode() in kept[qualified("globex", "")]


async def test_what_was_set_is_read_from_the_access_service_when_it_changes() -> None:
    world = World()
    async with serving(lambda to: add_AccessServiceServicer_to_server(AccessServicer(world.access), to)) as channel:
        stub, tenants = AccessServiceStub(channel), SettingsOfTenants(None)
        peer = PeerTenants(stub)
        await tenants.read(peer)
        assert tenants.now == NONE
        await stub.CreateTenant(access_pb2.CreateTenantRequest(name="acme"))
        await stub.SetTenantRetention(access_pb2.SetTenantRetentionRequest(name="acme", days=30))
        masking = access_pb2.TenantMasking(kinds=[access_pb2.MASKED_KIND_PHONE], names=["order_note"])
        await stub.SetTenantMasking(access_pb2.SetTenantMaskingRequest(name="acme", masking=masking))
        await tenants.read(peer)
        read = tenants.now
        assert read == {"acme": TenantSettings(30, frozenset({"phone"}), frozenset({"order_note"}))}
        await tenants.read(peer)
        assert tenants.now is read


async def test_an_access_service_of_a_version_that_keeps_nothing_for_tenants_has_nothing() -> None:
    async with serving() as channel:
        tenants = SettingsOfTenants(None)
        await tenants.read(PeerTenants(AccessServiceStub(channel)))
        assert tenants.now == NONE
        tenants.now = SETTINGS
        await tenants.read(PeerTenants(AccessServiceStub(channel)))
        assert tenants.now == SETTINGS
        with pytest.raises(Unavailable):  # retention would delete too much if it took that for an answer
            await PeerTenants(AccessServiceStub(channel)).all()
