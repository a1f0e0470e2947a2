"""Sessions of people: they end at once, work in one tenant, and begin by a link where there is no provider."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from journeymesh.access.v1 import people_pb2

from gateway.access.people import sessions
from gateway.access.people.roles import Grant, NoRoles, Role, grants_of_groups, roles_in
from mesh.clock import system_clock
from mesh.errors import Unavailable
from records.tenants import qualified
from tests.gateway.fakes import Services
from tests.gateway.openid import provider
from tests.gateway.running import Gateway, running
from tests.gateway.test_sign_in import answered, keep_cookies, settings_of, signed_in

PEOPLE: Final = {"ada": ("mesh-admins",), "ann": ("acme-growth",), "bea": ("acme-growth", "acme-ops", "mesh-admins")}
ROLES: Final = "admin=mesh-admins, acme:analyst=acme-growth, acme:operator=acme-ops, beta:viewer=beta-all"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider(PEOPLE) as url:
        yield url


@pytest.fixture
async def gateway(issuer: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    settings = settings_of(tmp_path, issuer, oidc_roles=ROLES)
    async with running(None, None, system_clock, **settings) as one:
        await one.services.world.access.create_tenant("acme")
        await hear(one)
        yield one


async def hear(gateway: Gateway) -> None:
    """Lets a gateway ask which sessions were ended, as it does every second."""
    ended = await gateway.core.peers.people.GetEndedSessions(people_pb2.GetEndedSessionsRequest())
    gateway.core.door.note_ended(ended.session_ids)


async def csrf(gateway: Gateway) -> dict[str, str]:
    token = (await gateway.client.get("/auth/session")).json()["csrfToken"]
    return {"x-journeymesh-csrf": token}


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The session that an answer begins, for a browser of its own."""
    (found,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(sessions.SESSION)]
    return {"cookie": found.partition(";")[0]}


async def test_an_operator_ends_all_sessions_of_a_person_and_they_count_nowhere_any_more(gateway: Gateway) -> None:
    laptop, phone = cookie_of(await signed_in(gateway, "ada")), cookie_of(await signed_in(gateway, "ada"))
    gateway.client.cookies.clear()
    listed = (await gateway.client.get("/api/people/sessions", headers=laptop)).json()["sessions"]
    assert [(each["person"], each["roles"]) for each in listed] == [("person:ada", ["admin"])] * 2
    token = (await gateway.client.get("/auth/session", headers=laptop)).json()["csrfToken"]
    assert (await gateway.client.delete("/api/people/person:ada/sessions", headers=laptop)).status_code == 403
    ended = await gateway.client.delete(
        "/api/people/person:ada/sessions", headers=laptop | {"x-journeymesh-csrf": token}
    )
    assert ended.status_code == 204
    await hear(gateway)
    for browser in (laptop, phone):
        assert (await gateway.client.get("/api/lift", headers=browser)).json()["reason"] == "KEY_REQUIRED"
        assert (await gateway.client.get("/auth/session", headers=browser)).json()["reason"] == "SIGN_IN_REQUIRED"
    assert (await gateway.client.get("/api/lift", headers=cookie_of(await signed_in(gateway, "ada")))).is_success


async def test_who_signs_out_everywhere_is_signed_in_nowhere(gateway: Gateway) -> None:
    phone = cookie_of(await signed_in(gateway, "ada"))
    await signed_in(gateway, "ada")
    headers = await csrf(gateway)
    assert (await gateway.client.post("/auth/sign-out?everywhere=maybe", headers=headers)).status_code == 400
    assert (await gateway.client.post("/auth/sign-out?everywhere=true", headers=headers)).status_code == 204
    await hear(gateway)
    gateway.client.cookies.clear()
    assert (await gateway.client.get("/auth/session", headers=phone)).status_code == 401


async def test_signing_out_here_leaves_the_phone_signed_in(gateway: Gateway) -> None:
    phone = cookie_of(await signed_in(gateway, "ada"))
    await signed_in(gateway, "ada")
    assert (await gateway.client.post("/auth/sign-out", headers=await csrf(gateway))).status_code == 204
    await hear(gateway)
    gateway.client.cookies.clear()
    assert (await gateway.client.get("/auth/session", headers=phone)).status_code == 200


async def test_a_gateway_that_does_not_know_what_was_ended_takes_no_session(issuer: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, issuer, oidc_roles=ROLES)
    async with running(None, None, system_clock, **settings) as gateway:
        await signed_in(gateway, "ada")
        assert (await gateway.client.get("/api/lift")).json()["reason"] == "DEPENDENCY_UNAVAILABLE"
        await hear(gateway)
        assert (await gateway.client.get("/api/lift")).status_code == 200


async def test_nobody_is_signed_in_whom_the_access_service_does_not_know(gateway: Gateway) -> None:
    keep_cookies(gateway.client)
    location = await answered(gateway, "ada")

    async def away(*_: object) -> Any:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "away")

    vars(gateway.core.peers.people)["BeginSession"] = away
    refused = await gateway.client.get(location)
    assert (refused.status_code, refused.headers.get_list("set-cookie")) == (503, [])


async def test_a_person_of_a_tenant_reaches_what_keys_of_the_tenant_reach(gateway: Gateway) -> None:
    await signed_in(gateway, "ann")
    session = (await gateway.client.get("/auth/session")).json()
    assert (session["tenant"], session["roles"]) == ("acme", ["analyst"])
    await gateway.client.get("/api/users/ada/profile")
    assert gateway.services.audit.acts[-1].actor == qualified("acme", "person:ann")
    assert gateway.services.audit.acts[-1].subject == qualified("acme", "ada")
    assert (await gateway.client.get("/api/pipeline")).json()["reason"] == "NOT_PERMITTED"
    assert (await gateway.client.get("/api/failed-events")).json()["reason"] == "NOT_PERMITTED"


async def test_nobody_works_in_a_tenant_that_is_deleted(gateway: Gateway) -> None:
    await gateway.services.world.access.delete_tenant("acme")
    refused = await signed_in(gateway, "ann")
    assert (refused.status_code, refused.json()["reason"]) == (403, "NO_ROLE")


@pytest.mark.parametrize(
    ("tenant", "roles"), [("acme", ["analyst", "operator"]), ("default", ["admin"]), ("beta", None), ("", None)]
)
async def test_who_has_roles_in_several_tenants_chooses_one(
    gateway: Gateway, tenant: str, roles: list[str] | None
) -> None:
    keep_cookies(gateway.client)
    begun = await gateway.client.get("/auth/sign-in", params={"tenant": tenant} if tenant else {})
    async with httpx.AsyncClient() as browser:
        back = (await browser.post(begun.headers["location"], data={"sub": "bea"})).headers["location"]
    ended = await gateway.client.get(back.removeprefix("http://localhost"))
    if roles is None:
        assert (ended.status_code, ended.json()["reason"]) == (403, "NO_ROLE" if tenant else "TENANT_REQUIRED")
        return
    session = (await gateway.client.get("/auth/session")).json()
    assert (session["tenant"], session["roles"]) == (tenant, roles)


async def test_a_session_of_one_tenant_neither_lists_nor_ends_those_of_another(gateway: Gateway) -> None:
    admin = cookie_of(await signed_in(gateway, "ada"))
    for tenant in ("acme", "default"):
        begun = await gateway.client.get("/auth/sign-in", params={"tenant": tenant})
        async with httpx.AsyncClient() as browser:
            back = (await browser.post(begun.headers["location"], data={"sub": "bea"})).headers["location"]
        gateway_cookie = cookie_of(await gateway.client.get(back.removeprefix("http://localhost")))
        if tenant == "acme":
            acme = gateway_cookie
    gateway.client.cookies.clear()
    listed = (await gateway.client.get("/api/people/sessions", headers=acme)).json()["sessions"]
    assert [(each["person"], each["tenant"]) for each in listed] == [("person:bea", "acme")]
    token = (await gateway.client.get("/auth/session", headers=acme)).json()["csrfToken"]
    for person in ("person:ada", "person:bea"):
        path = f"/api/people/{person}/sessions"
        assert (await gateway.client.delete(path, headers=acme | {"x-journeymesh-csrf": token})).status_code == 204
    await hear(gateway)
    assert (await gateway.client.get("/auth/session", headers=acme)).status_code == 401
    assert (await gateway.client.get("/auth/session", headers=admin)).status_code == 200
    assert (await gateway.client.get("/auth/session", headers=gateway_cookie)).status_code == 200


def test_groups_grant_roles_in_tenants() -> None:
    grants = grants_of_groups("admin=ops, acme:viewer = all=x ,acme:analyst=ops,default:viewer=ops")
    assert grants["all=x"] == {Grant("acme", Role.VIEWER)}
    assert roles_in(["ops", "all=x", "unknown", 7], grants) == {
        "": (Role.ADMIN, Role.VIEWER),
        "acme": (Role.ANALYST, Role.VIEWER),
    }
    assert roles_in("ops", grants).keys() == {"", "acme"}
    assert roles_in(None, grants) == {}


@pytest.mark.parametrize("text", ["admin", "king=x", "Acme:admin=x", "acme:king=x", "admin=", "=x", "a:b:admin=x"])
def test_what_grants_nothing_is_refused(text: str) -> None:
    with pytest.raises(NoRoles):
        grants_of_groups(text)


async def link(gateway: Gateway) -> str:
    made = await gateway.core.peers.people.CreateSignInToken(people_pb2.CreateSignInTokenRequest())
    return f"/auth/local?token={made.token}"


async def test_a_link_of_the_command_signs_in_once_as_admin() -> None:
    async with running(clock=system_clock, keys="required") as gateway:
        await hear(gateway)
        keep_cookies(gateway.client)
        path = await link(gateway)
        ended = await gateway.client.get(path)
        assert (ended.status_code, ended.headers["location"]) == (302, "/app")
        session = (await gateway.client.get("/auth/session")).json()
        assert (session["roles"], session["tenant"]) == (["admin"], "default")
        assert (await gateway.client.get("/api/pipeline")).status_code == 200
        again = await gateway.client.get(path)
        assert (again.status_code, again.json()["reason"]) == (401, "SIGN_IN_FAILED")
        assert "token" not in again.text


@pytest.mark.parametrize("members", [{"keys": "none"}, {"keys": "required", "address": "0.0.0.0:8080"}])
async def test_a_link_counts_neither_without_keys_nor_in_the_open(members: dict[str, Any]) -> None:
    async with running(**members) as gateway:
        assert (await gateway.client.get(await link(gateway))).status_code == 404


async def test_a_link_does_not_count_beside_a_provider(gateway: Gateway) -> None:
    assert (await gateway.client.get(await link(gateway))).status_code == 404


async def test_a_session_of_another_process_is_none_where_each_draws_its_secret() -> None:
    services = Services()
    async with running(services=services, clock=system_clock, keys="required") as one:
        cookie = cookie_of(await one.client.get(await link(one)))
    async with running(services=services, clock=system_clock, keys="required") as other:
        await hear(other)
        assert (await other.client.get("/auth/session", headers=cookie)).status_code == 401
