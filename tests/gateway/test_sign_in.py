"""People sign in with an OpenID provider: a real one in a process of its own, and answers that prove nothing."""

import base64
import dataclasses
import hmac
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from journeymesh.access.v1 import audit_pb2

from gateway.access.people import sessions
from gateway.access.people.provider import Provider, ProviderSettings
from gateway.access.people.roles import SCOPES, Role, grants_of_groups
from gateway.access.people.sign_in import SignIn
from gateway.access.permissions import NEEDS, OPEN
from gateway.routes.signing_in import is_own_path
from gateway.routes.table import ROUTES
from gateway.settings import Settings
from mesh.clock import system_clock
from mesh.errors import MeshError
from mesh.settings import SettingError
from services.access.audit import translation
from tests.gateway.openid import provider
from tests.gateway.running import NOW_US, Gateway, running

CLIENT: Final = "mesh"
ISSUER: Final = "https://id.example"
NOW: Final = NOW_US // 1_000_000
PEOPLE: Final = {
    "vera": ("viewers",),
    "ann": ("growth",),
    "otto": ("operators", "unknown"),
    "ada": ("mesh-admins",),
    "eve": ("sales",),
    "nobody": (),
}
KNOWN: Final = ProviderSettings(
    ISSUER, CLIENT, "secret", "https://mesh.example/auth/callback", "groups", grants_of_groups("admin=mesh-admins")
)
ROLES: Final = "viewer=viewers,analyst=growth,operator=operators,admin=mesh-admins"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider that knows some people, on a port of its own."""
    with provider(PEOPLE) as url:
        yield url


@pytest.fixture
def members(issuer: str, tmp_path: Path) -> dict[str, str]:
    return settings_of(tmp_path, issuer)


def settings_of(folder: Path, issuer: str, **others: str) -> dict[str, str]:
    (folder / "client").write_text("secret\n")
    (folder / "session").write_text("s" * 43)
    return {
        "keys": "required",
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret_file": str(folder / "client"),
        "oidc_roles": ROLES,
        "public_url": "http://localhost",
        "session_secret_file": str(folder / "session"),
    } | others


@pytest.fixture
async def gateway(members: dict[str, str]) -> AsyncIterator[Gateway]:
    async with running(None, None, system_clock, **members) as one:
        one.core.door.note_ended(())
        yield one


async def answered(gateway: Gateway, user: str, to: str = "/docs") -> str:
    """Goes to the provider and signs in there; returns where it sends the browser back to."""
    begun = await gateway.client.get("/auth/sign-in", params={"to": to})
    assert begun.status_code == 302
    async with httpx.AsyncClient() as browser:
        signed_in = await browser.post(begun.headers["location"], data={"sub": user})
    assert signed_in.status_code == 302
    return signed_in.headers["location"].removeprefix("http://localhost")


async def signed_in(gateway: Gateway, user: str) -> httpx.Response:
    keep_cookies(gateway.client)
    return await gateway.client.get(await answered(gateway, user))


def keep_cookies(client: httpx.AsyncClient) -> None:
    """Sends cookies over plain HTTP too, as browsers do on the machine itself."""

    def insecure(response: httpx.Response) -> None:
        for cookie in response.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            client.cookies.set(name, value)

    async def hook(response: httpx.Response) -> None:
        insecure(response)

    client.event_hooks = {"response": [hook]}


async def test_whoever_signs_in_may_do_what_the_roles_allow(gateway: Gateway) -> None:
    ended = await signed_in(gateway, "ann")
    assert (ended.status_code, ended.headers["location"]) == (302, "/docs")
    person = (await gateway.client.get("/auth/session")).json()
    assert (person["name"], person["roles"]) == ("Ann", ["analyst"])
    assert 0 < person["endsAt"] - time.time() <= 3600
    assert (await gateway.client.get("/api/users/ada/profile")).status_code == 200
    assert (await gateway.client.get("/api/lift")).status_code == 200
    assert (await gateway.client.get("/api/failed-events")).json()["reason"] == "NOT_PERMITTED"
    assert (await gateway.track({"userId": "a", "eventType": "page_view"})).status_code == 403
    assert [act.actor for act in gateway.services.audit.acts] == ["person:ann"]


async def test_cookies_are_the_host_s_own_and_out_of_reach_of_scripts(gateway: Gateway) -> None:
    keep_cookies(gateway.client)
    location = await answered(gateway, "ada")
    ended = await gateway.client.get(location)
    for cookie in ended.headers.get_list("set-cookie"):
        assert cookie.startswith("__Host-")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


@pytest.mark.parametrize("user", ["vera", "ann", "otto", "ada"])
async def test_a_role_may_do_what_the_table_says_and_nothing_else(gateway: Gateway, user: str) -> None:
    await signed_in(gateway, user)
    session = (await gateway.client.get("/auth/session")).json()
    allowed = frozenset().union(*(SCOPES[Role(role)] for role in session["roles"]))
    for route in ROUTES:
        scope = NEEDS[route.method, route.path]
        if scope is OPEN or route.status == 101:
            continue
        if route.answer == "text/event-stream" and scope in allowed:
            continue  # it stays open: see test_live
        path = route.path.replace("{", "").replace("}", "")
        headers = {"x-journeymesh-csrf": session["csrfToken"]}
        answer = await gateway.client.request(route.method, path, headers=headers)
        # Where a key may stand in the body, only a key counts.
        reason = "KEY_REQUIRED" if route.may_have_key_in_body else "NOT_PERMITTED"
        is_refused = answer.status_code in {401, 403} and answer.json()["reason"] == reason
        assert is_refused is (scope not in allowed), (route.method, route.path)


async def test_a_change_needs_the_token_of_the_session(gateway: Gateway) -> None:
    await signed_in(gateway, "otto")
    path = "/api/failed-events/f-1"
    for headers in ({}, {"x-journeymesh-csrf": "guessed"}):
        refused = await gateway.client.delete(path, headers=headers)
        assert (refused.status_code, refused.json()["reason"]) == (403, "CSRF_TOKEN_INVALID")
    token = (await gateway.client.get("/auth/session")).json()["csrfToken"]
    assert (await gateway.client.delete(path, headers={"x-journeymesh-csrf": token})).status_code == 204
    refused = await gateway.client.post("/auth/sign-out")
    assert refused.json()["reason"] == "CSRF_TOKEN_INVALID"
    assert (await gateway.client.post("/auth/sign-out", headers={"x-journeymesh-csrf": token})).status_code == 204
    assert (await gateway.client.get("/auth/session")).status_code == 401
    assert (await gateway.client.get("/api/lift")).json()["reason"] == "KEY_REQUIRED"


async def test_a_session_is_not_for_pages_of_other_origins(gateway: Gateway) -> None:
    await signed_in(gateway, "ada")
    for path in ("/api/lift", "/auth/session"):
        assert (await gateway.client.get(path, headers={"origin": "http://localhost"})).status_code == 200
        assert (await gateway.client.get(path, headers={"origin": "https://shop.example"})).status_code == 401


@pytest.mark.parametrize("user", ["eve", "nobody"])
async def test_without_a_role_nobody_gets_a_session(gateway: Gateway, user: str) -> None:
    refused = await signed_in(gateway, user)
    assert (refused.status_code, refused.json()["reason"]) == (403, "NO_ROLE")
    assert (await gateway.client.get("/auth/session")).status_code == 401


async def test_an_answer_counts_once_in_the_browser_that_asked_for_it(gateway: Gateway) -> None:
    keep_cookies(gateway.client)
    location = await answered(gateway, "ada")
    cookie = next(
        each.value for each in gateway.client.cookies.jar if each.name == sessions.ATTEMPT and not each.secure
    )
    other = await gateway.client.get(location.replace("state=", "state=x"))
    assert other.json()["reason"] == "SIGN_IN_FAILED"
    gateway.client.cookies.clear()
    assert (await gateway.client.get(location)).json()["reason"] == "SIGN_IN_FAILED"
    gateway.client.cookies.set(sessions.ATTEMPT, str(cookie))
    assert (await gateway.client.get(location)).status_code == 302
    gateway.client.cookies.set(sessions.ATTEMPT, str(cookie))
    again = await gateway.client.get(location)
    assert (again.status_code, again.json()["reason"]) == (401, "SIGN_IN_FAILED")


async def test_who_declines_at_the_provider_is_not_signed_in(gateway: Gateway) -> None:
    keep_cookies(gateway.client)
    begun = await gateway.client.get("/auth/sign-in")
    (state,) = parse_qs(urlsplit(begun.headers["location"]).query)["state"]
    refused = await gateway.client.get("/auth/callback", params={"error": "access_denied", "state": state})
    assert refused.json()["reason"] == "SIGN_IN_FAILED"


async def test_a_cookie_of_another_secret_or_another_use_is_none(gateway: Gateway) -> None:
    assert gateway.core.sign_in is not None
    cookies = gateway.core.sign_in.cookies
    now = int(time.time())
    session = sessions.Session("person:eve", "Eve", (Role.ADMIN,), "c", now + 600, "s-1")
    forged = {
        "another secret": sessions.Cookies(b"x" * 43).written(sessions.SESSION, session),
        "no signature": jwt_without_signature(session),
        "an attempt": cookies.written(sessions.ATTEMPT, sessions.Attempt("a", "b", "c", "/", now + 600)),
        "over": cookies.written(sessions.SESSION, msgspec.structs.replace(session, exp=now - 1)),
        "nonsense": "x=nonsense",
    }
    for name, cookie in forged.items():
        value = cookie.partition(";")[0].partition("=")[2]
        answer = await gateway.client.get("/api/lift", headers={"cookie": f"{sessions.SESSION}={value}"})
        assert answer.json()["reason"] == "KEY_REQUIRED", name
    good = cookies.written(sessions.SESSION, session).partition(";")[0]
    assert (await gateway.client.get("/api/lift", headers={"cookie": good})).status_code == 200


def jwt_without_signature(session: sessions.Session) -> str:
    token = jwt.encode({"alg": "HS256"}, msgspec.to_builtins(session), OctKey.import_key("x" * 43))
    head, body, _ = token.split(".")
    return f"x={head}.{body}."


@pytest.mark.parametrize(
    ("path", "is_own"),
    [
        ("/", True),
        ("/docs#x", True),
        ("/a?b=//c", True),
        ("//evil.example", False),
        ("/\\evil.example", False),
        ("https://evil.example", False),
        ("evil", False),
        ("", False),
        ("/\tevil", False),
        ("/a\r\nset-cookie: x", False),
    ],
)
async def test_nobody_is_led_elsewhere(gateway: Gateway, path: str, is_own: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_own_path(path) is is_own
    begun = await gateway.client.get("/auth/sign-in", params={"to": path})
    assert begun.status_code == (302 if is_own else 400)


@dataclasses.dataclass
class Forger:
    """A provider whose tokens can be anything."""

    claims: Callable[[dict[str, Any]], dict[str, Any]] = dict
    sign: Callable[[dict[str, Any]], str] | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    key: Any = dataclasses.field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    published: list[Any] = dataclasses.field(default_factory=list)
    nonce: str = ""

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("openid-configuration"):
            endpoints = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/jwks"}
            usual = {"issuer": ISSUER} | {name: ISSUER + path for name, path in endpoints.items()}
            return httpx.Response(200, json=usual | dict(self.metadata))
        if request.url.path == "/jwks":
            published = self.published or [self.key]
            return httpx.Response(200, json=KeySet(published).as_dict(private=False))
        usual_claims = {
            "iss": ISSUER,
            "sub": "ada",
            "aud": CLIENT,
            "exp": NOW + 300,
            "iat": NOW,
            "nonce": self.nonce,
            "groups": ["mesh-admins"],
        }
        claims = self.claims(usual_claims)
        token = self.sign(claims) if self.sign else jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
        return httpx.Response(200, json={"id_token": token, "access_token": "a", "token_type": "Bearer"})


async def attempted(forger: Forger, answer: Mapping[str, str]) -> sessions.Person:
    """Who somebody is to this provider."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(forger.answer)) as client:
        provider = Provider(KNOWN, lambda size: b"7" * size, client)
        _, attempt = await provider.begin("/docs", "", NOW)
        forger.nonce = attempt.nonce
        return await provider.end(attempt, {"state": attempt.state, "code": "c", **answer}, NOW)


async def outcome(forger: Forger, **answer: str) -> str:
    """The roles somebody gets from this provider, or why nobody is signed in."""
    try:
        return ",".join((await attempted(forger, answer)).roles)
    except MeshError as error:
        return error.reason


RSA: Final = RSAKey.generate_key(2048, {"kid": "1"})
STRANGER: Final = RSAKey.generate_key(2048, {"kid": "1"})


def by_hand(header: dict[str, str], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    body = b".".join(base64.urlsafe_b64encode(msgspec.json.encode(each)).rstrip(b"=") for each in (header, claims))
    return f"{body.decode()}.{base64.urlsafe_b64encode(sign(body)).rstrip(b'=').decode()}"


def unsigned(claims: dict[str, Any]) -> str:
    return by_hand({"alg": "none", "kid": "1"}, claims, lambda _: b"")


def signed_with_what_is_published(claims: dict[str, Any]) -> str:
    secret = RSA.as_pem(private=False)
    return by_hand({"alg": "HS256", "kid": "1"}, claims, lambda body: hmac.digest(secret, body, "sha256"))


FORGED: Final[dict[str, Forger]] = {
    "another nonce": Forger(lambda of: of | {"nonce": "x"}),
    "no nonce": Forger(lambda of: {name: of[name] for name in of if name != "nonce"}),
    "another issuer": Forger(lambda of: of | {"iss": "https://evil.example"}),
    "another audience": Forger(lambda of: of | {"aud": "other"}),
    "two audiences without azp": Forger(lambda of: of | {"aud": [CLIENT, "other"]}),
    "two audiences, another azp": Forger(lambda of: of | {"aud": [CLIENT, "other"], "azp": "other"}),
    "over": Forger(lambda of: of | {"exp": NOW - 61}),
    "from the future": Forger(lambda of: of | {"iat": NOW + 61}),
    "no end": Forger(lambda of: {name: of[name] for name in of if name != "exp"}),
    "nobody": Forger(lambda of: of | {"sub": ""}),
    "a stranger's key": Forger(sign=lambda of: jwt.encode({"alg": "RS256", "kid": "1"}, of, STRANGER), key=RSA),
    "an unknown key": Forger(sign=lambda of: jwt.encode({"alg": "RS256", "kid": "2"}, of, STRANGER), key=RSA),
    "a symmetric key": Forger(sign=signed_with_what_is_published, key=RSA),
    "no signature": Forger(sign=unsigned, key=RSA),
    "no token": Forger(sign=lambda _: "x"),
}


@pytest.mark.parametrize("forger", FORGED.values(), ids=FORGED)
async def test_a_token_that_is_not_for_this_attempt_signs_nobody_in(forger: Forger) -> None:
    assert await outcome(forger) == "SIGN_IN_FAILED"


async def test_a_good_token_signs_in_whatever_the_provider_s_algorithm() -> None:
    assert await outcome(Forger()) == "admin"
    curve = ECKey.generate_key("P-256", {"kid": "1"})
    signs = Forger(sign=lambda of: jwt.encode({"alg": "ES256", "kid": "1"}, of, curve), key=curve)
    assert await outcome(signs) == "admin"
    assert await outcome(Forger(lambda of: of | {"aud": [CLIENT, "other"], "azp": CLIENT})) == "admin"


@pytest.mark.parametrize("sub", ["ada", "a" * 57, "a" * 58, "ü" * 255])
async def test_a_person_is_an_actor_that_the_audit_log_takes_however_long_the_provider_s_id(sub: str) -> None:
    session = await attempted(Forger(lambda of: of | {"sub": sub}), {})
    act = audit_pb2.Act(act_id=b"1" * 16, time_us=NOW_US, actor=session.subject, action="GET /api/users/{userId}")
    assert translation.acts_of(audit_pb2.RecordActsRequest(acts=[act]))
    assert (session.subject == f"person:{sub}") is (len(sub) <= 57)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"iss": ISSUER}, "admin"),
        ({"iss": "https://evil.example"}, "SIGN_IN_FAILED"),
        ({"state": ""}, "SIGN_IN_FAILED"),
        ({"code": ""}, "SIGN_IN_FAILED"),
        ({"error": "server_error"}, "SIGN_IN_FAILED"),
    ],
)
async def test_an_answer_must_be_this_provider_s_to_this_attempt(answer: dict[str, str], expected: str) -> None:
    assert await outcome(Forger(), **answer) == expected


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": "https://evil.example"}, {"token_endpoint": "http://id.example/token"}, {"jwks_uri": "ftp://x"}],
)
async def test_a_provider_that_says_it_is_another_or_leads_into_the_open_is_not_asked(metadata: dict[str, str]) -> None:
    assert await outcome(Forger(metadata=metadata)) == "DEPENDENCY_UNAVAILABLE"


async def test_a_new_key_of_the_provider_is_found() -> None:
    new = RSAKey.generate_key(2048, {"kid": "2"})
    forger = Forger(sign=lambda of: jwt.encode({"alg": "RS256", "kid": "2"}, of, new), key=RSA)
    now = [0.0]
    async with httpx.AsyncClient(transport=httpx.MockTransport(forger.answer)) as client:
        provider = Provider(KNOWN, lambda size: b"7" * size, client, lambda: now[0])
        _, attempt = await provider.begin("/docs", "", NOW)
        forger.nonce, forger.published = attempt.nonce, [RSA, new]
        with pytest.raises(MeshError, match="SIGN_IN_FAILED"):
            await provider.end(attempt, {"state": attempt.state, "code": "c"}, NOW)
        now[0] = 61.0
        session = await provider.end(attempt, {"state": attempt.state, "code": "c"}, NOW)
        assert session.roles == (Role.ADMIN,)


async def test_without_a_provider_nobody_signs_in() -> None:
    async with running(keys="required", address="0.0.0.0:8080") as gateway:
        for path in ("/auth/sign-in", "/auth/callback", "/auth/local?token=x"):
            assert (await gateway.client.get(path)).status_code == 404
        assert (await gateway.client.get("/auth/session")).status_code == 401


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"keys": "elsewhere"}, "KEYS=required"),
        ({"oidc_issuer": "http://id.example"}, "must be https"),
        ({"public_url": "mesh.example"}, "must be https"),
        ({"oidc_client_id": ""}, "_CLIENT_SECRET_FILE"),
        ({"oidc_client_secret_file": ""}, "_CLIENT_SECRET_FILE"),
        ({"session_secret_file": ""}, "32 characters"),
        ({"oidc_roles": ""}, "must give a role"),
        ({"oidc_roles": "king=all"}, "king=all"),
        ({"oidc_roles": "admin"}, "admin"),
    ],
)
async def test_what_is_missing_is_said_at_the_start(tmp_path: Path, other: dict[str, str], sentence: str) -> None:
    settings = Settings(**(settings_of(tmp_path, ISSUER) | other))  # type: ignore[arg-type]
    async with httpx.AsyncClient() as client:
        with pytest.raises(SettingError, match=sentence):
            SignIn.wanted(settings, client)
