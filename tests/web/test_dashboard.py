"""The dashboard over a mesh with journeys: every page, for everybody."""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.access.people.roles import Role
from gateway.access.people.sessions import SESSION, SESSION_SECONDS, Cookies, Session
from tests.conftest import free_port
from tests.gateway.openid import provider
from tests.processes import RunningMesh, running_mesh
from tests.web.filled import STRUGGLER, VIDEO, filled_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]

PATHS: Final = (
    "/app",
    "/app/journeys",
    f"/app/journeys?user={STRUGGLER}",
    "/app/funnels?left=1&breakdown=platform&where=page:is_not:/nowhere",
    "/app/retention?where=platform:is:web&risk=medium",
    "/app/struggles?page=/calculator",
    "/app/insights",
    "/app/experiments",
    "/app/customers",
    "/app/help",
    f"/app/videos?video={VIDEO}",
    "/app/model?days=1",
    "/app/model?silent=1&days=30",
    "/app/pipeline",
)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with filled_mesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


def test_every_page_fits_a_narrow_window_and_nothing_goes_wrong(mesh: RunningMesh) -> None:
    seen = told("dashboard", mesh.url, part="pages", paths=PATHS)
    assert seen["faults"] == []
    for path, page in seen["found"].items():
        assert page["title"] == f"{page['heading']} · Journeymesh"
        assert (page["overflow"], page["troubles"]) == (0, 0), path
        assert page["broken"] == [], path
    assert sum(page["cells"] for page in seen["found"].values()) > 100


def test_axe_finds_nothing_in_light_and_dark(mesh: RunningMesh) -> None:
    assert told("dashboard", mesh.url, part="axe", paths=PATHS) == []


def test_the_figures_are_those_of_the_api(mesh: RunningMesh) -> None:
    seen = told("dashboard", mesh.url, part="figures")
    figures = {each["name"]: each["value"] for each in mesh.post("/api/analytics/kpis", {}).body["kpis"]}
    assert seen["faults"] == []
    for name in ("events", "users", "sessions", "offered", "shown", "accepted"):
        assert figures[name]
        assert seen["tiles"][name] == f"{figures[name]:,.0f}"
    assert seen["tiles"]["conversion_rate"].rstrip("%") == f"{figures['conversion_rate'] * 100:.1f}".removesuffix(".0")


def test_the_help_page_tells_what_help_earned(mesh: RunningMesh) -> None:
    answer = mesh.post("/api/analytics/effects", {}).body
    assert min(answer["treatedCount"], answer["holdoutCount"]) > 0
    assert [each["name"] for each in answer["effects"]][:2] == ["conversion_rate", "abandonment_rate"]


def test_filters_are_saved_as_a_segment_that_the_address_names(mesh: RunningMesh) -> None:
    start = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=6)
    viewed = {"did": [{"field": "page", "values": ["/calculator"]}], "atLeast": "medium"}
    question = {"measure": "users", "interval": "month", "segment": viewed, "window": {"start": start.isoformat()}}
    (series,) = mesh.post("/api/analytics/trends", question).body["series"]
    seen = told("dashboard", mesh.url, part="saved")
    assert seen["faults"] == []
    assert (seen["parameters"], seen["chosen"], seen["troubles"]) == (["segment"], "At risk on the calculator", 0)
    assert series["total"]
    assert seen["size"] == f"{series['total']:,.0f} users in these days"


def test_what_happens_is_on_the_page_within_a_second(mesh: RunningMesh) -> None:
    about = {"page": "/calculator", "target": "loan", "attempts": 3}
    kinds = ("page_view", "form_start", "form_submit", "struggle_signal")
    events = [
        {"userId": f"ada-{number}", "eventType": kind, "properties": about} for number in range(8) for kind in kinds
    ]
    seen = told("dashboard", mesh.url, part="live", events=events)
    assert seen["faults"] == []
    assert any("Repeated failures" in line and "/calculator" in line for line in seen["lines"])
    assert seen["user"] in seen["risks"]
    assert seen["seconds"] < 1


def test_where_nothing_is_pushed_the_page_asks(mesh: RunningMesh) -> None:
    seen = told("dashboard", mesh.url, part="asking")
    assert "looked at every 5 seconds" in seen
    assert "Nothing is pushed at the moment" in seen


def test_another_policy_is_tried_on_a_decision(mesh: RunningMesh) -> None:
    helped = {
        row["userId"] for row in mesh.post("/api/analytics/lists", {"kind": "offers", "limit": 1000}).body["rows"]
    }
    user = next(each for each in ("ada", "barbara", "edsger", "grace", "hedy", "katherine") if each in helped)
    decided = mesh.get(f"/api/decisions?userId={user}").body["decisions"]
    seen = told("dashboard", mesh.url, part="another", user=user)
    offered = [each["intervention"] for each in decided if each["intervention"]]
    assert len(seen["cameOf"]) == len(offered) > 0
    actions = sorted(each["action"].replace("_", " ").capitalize() for each in offered)
    assert sorted(each.partition(":")[0] for each in seen["cameOf"]) == actions
    assert "It would not have helped" in seen["never"]
    assert "for the same reasons" in seen["same"]
    assert all("400" in fault for fault in seen["faults"]), "what the browser says of the refusal"
    assert mesh.get(f"/api/decisions?userId={user}").body["decisions"] == decided


def test_the_model_is_shown_by_its_card(mesh: RunningMesh) -> None:
    live = mesh.get("/api/models/live/card").body
    seen = told("dashboard", mesh.url, part="model")
    assert seen["faults"] == []
    assert live["modelVersion"] in seen["text"]
    assert "model\t0.9558 (0.946-0.963)" in seen["text"]
    stated = [line for line in live["card"].splitlines() if line.startswith("`") and "inf: " in line]
    assert len(seen["shapes"]) == len(stated) > 0
    for shape, line in zip(seen["shapes"], stated, strict=True):
        steps = [float(each.split(": ")[1]) for each in line.partition("`: ")[2].split(", ")]
        assert [float(row[2].replace("\N{MINUS SIGN}", "-")) for row in shape] == steps


def test_the_model_page_tells_whether_it_came_true(mesh: RunningMesh) -> None:
    # The day before the first day shown counts too, as the page looks back further by the days of silence.
    start = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=30)
    question = {"window": {"start": start.isoformat()}, "silentDays": 1, "interval": "week"}
    answer = mesh.post("/api/analytics/calibration", question).body
    whole, *weeks = answer["spans"]
    assert whole["knownCount"] >= answer["leastCount"]
    assert whole["waitingCount"] > 0
    seen = told("dashboard", mesh.url, part="calibration")
    assert seen["faults"] == []
    assert f"{whole['waitingCount']:,} still wait" in seen["text"]
    assert [row[3] for row in seen["reliability"]] == [f"{each['knownCount']:,}" for each in whole["bins"]]
    assert [row[1] for row in seen["weeks"]] == [f"{each['knownCount']:,}" for each in weeks]
    assert [row[5] == "too few" for row in seen["weeks"]] == [each["gap"] is None for each in weeks]
    assert "It needs 100 outcomes" in seen["early"]
    assert "No probability was told: what the model said is judged, by 1 day without an event." in seen["text"]
    words = f"Of {whole['knownCount'] - 2:,} predictions the probability that was told is judged, of 2 others what the"
    assert words in seen["told"]
    assert "“no event for 1 day, at events”" in seen["told"]
    assert "What was told is the probability of “never returns”." in seen["other"]
    assert "nothing is measured here" in seen["other"]


def test_the_model_page_tells_what_moved(mesh: RunningMesh) -> None:
    start = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    answer = mesh.post("/api/analytics/drift", {"window": {"start": start.isoformat()}}).body
    reasons = [each for each in answer["items"] if each["kind"] == "reason"]
    assert answer["current"]["predictionCount"] + answer["previous"]["predictionCount"] > 0
    seen = told("dashboard", mesh.url, part="moved")
    assert seen["faults"] == []
    # Shortly after midnight there are too few users of today.
    assert ("It needs 100 users" in seen["text"]) == (not answer["items"])
    assert [row[1] for row in seen["reasons"]] == [f"{each['psi']:.2f}" for each in reasons]
    assert [row[-1] == "yes" for row in seen["reasons"]] == [each["isNotable"] for each in reasons]


def test_the_insights_page_tells_when_figures_were_unusual(mesh: RunningMesh) -> None:
    news = {"where": [{"field": "page", "values": ["/news"]}]}
    answer = mesh.post("/api/analytics/insights", news).body
    (incident,) = answer["incidents"]
    users = next(part for part in incident["parts"] if part["metric"] == "users")
    assert (users["observed"], users["direction"]) == (80, "above")
    seen = told("dashboard", mesh.url, part="insights")
    assert all("503" in fault for fault in seen["faults"]), "what the browser says of the refusal"
    assert "1 incident in these days" in seen["text"]
    assert f"It needs {answer['neededDays']} days more" in seen["text"]
    titles = [each for each in seen["titles"] if each != "Open or not seen yet"]
    assert titles[1].endswith("more events, users")
    assert seen["charts"] == len(incident["parts"]) == 2
    assert [row[1] for row in seen["rows"]] == [f"{point['observed']:g}" for point in users["points"]]
    assert [row[4] for row in seen["rows"]].count("open") == 3
    assert "nothing happened in these days" in seen["nothing"]
    assert "The files cannot be read." in seen["trouble"]


def test_the_watch_tells_what_the_question_answers(mesh: RunningMesh) -> None:
    judged = ("opened", "closed", "severity", "affectedUserHours")

    def incidents(answer: Any) -> list[list[Any]]:
        return [[each[name] for name in judged] for each in answer.body["incidents"]]

    def asked() -> tuple[list[list[Any]], list[list[Any]]]:
        judged_until = mesh.get("/api/insights/status").body["judgedUntil"]
        if judged_until is None:
            return [], [["not judged yet"]]
        end = dt.datetime.fromisoformat(judged_until)
        window = {"start": (end - dt.timedelta(days=14)).isoformat(), "end": end.isoformat()}
        return incidents(mesh.get("/api/insights")), incidents(mesh.post("/api/analytics/insights", {"window": window}))

    until = time.monotonic() + 30
    while (both := asked())[0] != both[1]:
        assert time.monotonic() < until, both
        time.sleep(0.2)
    status = mesh.get("/api/insights/status").body
    assert status["openCount"] == sum(closed is None for _, closed, *_ in both[0])
    assert status["neededDays"] > 0
    for each in mesh.get("/api/insights").body["incidents"]:
        assert mesh.post(f"/api/insights/{each['insightId']}/acknowledge", None).body["acknowledged"]


def test_what_the_watch_tells_is_pushed_to_the_page_and_answered_there(mesh: RunningMesh) -> None:
    seen = told("dashboard", mesh.url, part="watched")
    assert seen["faults"] == []
    assert seen["row"][0] == "fewer users"
    assert seen["row"][1].lower().startswith("high")
    assert seen["row"][2] == "Open"
    path = "/api/insights/20260102T0900-users"
    assert seen["asked"] == [[f"{path}/acknowledge", None], [f"{path}/snooze", "a release"]]
    assert seen["slice"].split("\t") == ["Page: /pay · Platform: mobile", "Users", "5", "45", "90%"]
    assert seen["change"].split("\t")[1] == "Deploy: web 1.2.3"
    assert seen["missing"] == 1
    assert "80 % of the budget of 2026-01-02 was used, $4.25 of $5" in seen["budget"]
    assert seen["tile"].split("\n") == ["Open incidents", "1", "0 not seen"]


def test_a_budget_is_set_and_removed_on_the_page(mesh: RunningMesh) -> None:
    seen = told("dashboard", mesh.url, part="budget")
    assert (seen["none"], seen["isRefused"], seen["limit"]) == (1, True, 1)
    assert seen["refusal"] == "The key may not operate."
    assert ["403" in each for each in seen["faults"]] == [True]
    assert mesh.get("/api/analytics/budget").body["ownDailyUsd"] is None


def test_the_keyboard_leads_to_a_funnel_as_a_table(mesh: RunningMesh) -> None:
    seen = told("dashboard", mesh.url, part="keyboard")
    steps = [
        {"where": [{"field": "event_type", "values": [each]}]} for each in ("page_view", "form_submit", "purchase")
    ]
    (funnel, *_) = mesh.post("/api/analytics/funnels", {"steps": steps}).body["funnels"]
    assert (seen["first"], seen["path"], seen["faults"]) == ("Skip to the content", "/app/funnels", [])
    assert seen["rows"] == [str(step["userCount"]) for step in funnel["steps"]]


def test_a_failed_event_is_mended_and_sent_again(mesh: RunningMesh) -> None:
    event: dict[str, Any] = {"eventId": "mended", "userId": "grace", "eventType": "page_view"}
    event["properties"] = {"page": "/calculator"}
    seen = told("dashboard", mesh.url, part="mended", event=event)
    assert seen["refusal"] == "The event was refused again. A page view needs page."
    assert all("409" in fault for fault in seen["faults"]), "what the browser says of the refusal"
    mesh.await_applied("mended")


def test_jobs_are_started_followed_and_cancelled_by_hand(mesh: RunningMesh) -> None:
    seen = told("dashboard", mesh.url, part="jobs")
    assert (seen["faults"], seen["asked"]) == ([], ["/api/jobs/j-1:cancel"])
    assert seen["files"] == ["/api/jobs/j-3/file"], "only the last file is kept"
    assert seen["started"] == [{"kind": "model_training"}]
    assert seen["why"] == "No model training: What `model_training` needs is not installed here."
    assert seen["buttons"] == [
        ["Start customers fit", False],
        ["Start customers export", False],
        ["Start model training", True],
    ]
    (job, *_) = mesh.get("/api/jobs").body["jobs"]
    assert job["reason"] == "NOTHING_TO_LEARN"
    assert job["detail"] in seen["ended"]


def test_an_empty_mesh_says_what_to_do_next(tmp_path: Path) -> None:
    paths = ("/app", "/app/journeys", "/app/funnels", "/app/retention", "/app/struggles", "/app/help", "/app/videos")
    with running_mesh(tmp_path, JOURNEYMESH_ARCHIVE_PERIOD_SECONDS="1") as mesh:
        seen = told("dashboard", mesh.url, part="empty", paths=paths)
    assert seen["faults"] == []
    assert all(seen["found"].values()), seen["found"]


def test_whoever_signed_in_sees_what_their_roles_include(tmp_path: Path) -> None:
    secret = "s" * 32
    for file in ("client", "session"):
        (tmp_path / file).write_text(secret)
    here = "http://127.0.0.1"
    settings = {
        "JOURNEYMESH_KEYS": "required",
        "JOURNEYMESH_PUBLIC_URL": here,
        "JOURNEYMESH_OIDC_ISSUER": f"{here}:9",
        "JOURNEYMESH_OIDC_CLIENT_ID": "journeymesh",
        "JOURNEYMESH_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "client"),
        "JOURNEYMESH_OIDC_GROUPS_CLAIM": "groups",
        "JOURNEYMESH_OIDC_ROLES": "analyst=growth",
        "JOURNEYMESH_SESSION_SECRET_FILE": str(tmp_path / "session"),
    }
    until = int(time.time()) + SESSION_SECONDS
    session = Session("https://id.example|1", "Ada", (Role.ANALYST,), "token", until, "s-1")
    name, _, value = Cookies(secret.encode()).written(SESSION, session).partition(";")[0].partition("=")
    with running_mesh(tmp_path, **settings) as mesh:
        seen = told("dashboard", mesh.url, part="signedIn", cookie={"name": name, "value": value})
    assert "Ada" in seen["settings"]
    assert "Nobody made the first step" in seen["funnels"]
    assert "Your roles do not include this view" in seen["pipeline"]


def test_whoever_signs_in_with_the_provider_sees_the_dashboard_until_they_sign_out(tmp_path: Path) -> None:
    for file in ("client", "session"):
        (tmp_path / file).write_text("s" * 43)
    address = f"127.0.0.1:{free_port()}"
    with provider({"ann": ("growth",), "eve": ("sales",)}) as issuer:
        settings = {
            "JOURNEYMESH_HTTP_ADDRESS": address,
            "JOURNEYMESH_KEYS": "required",
            "JOURNEYMESH_PUBLIC_URL": f"http://{address}",
            "JOURNEYMESH_OIDC_ISSUER": issuer,
            "JOURNEYMESH_OIDC_CLIENT_ID": "mesh",
            "JOURNEYMESH_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "client"),
            "JOURNEYMESH_OIDC_GROUPS_CLAIM": "groups",
            "JOURNEYMESH_OIDC_ROLES": "analyst=growth",
            "JOURNEYMESH_SESSION_SECRET_FILE": str(tmp_path / "session"),
        }
        with running_mesh(tmp_path, **settings) as mesh:
            seen = told("dashboard", mesh.url, part="provided", user="ann")
    assert seen["provider"] == issuer
    assert "Ann" in seen["settings"]
    assert seen["links"] == 0
    assert all(cookie == {"httpOnly": True, "secure": True, "sameSite": "Lax"} for cookie in seen["cookies"])
    assert seen["cookies"]
    assert seen["afterwards"] == 401


def test_the_lift_is_shown_with_its_interval(mesh: RunningMesh) -> None:
    lifts = mesh.get("/api/lift").body["lifts"]
    known = [each for each in lifts if each["isKnown"]]
    assert known[0]["dimension"] == "all"
    assert known[0]["lower"] > 0, "help helps, as the journeys were made"
    seen = told("dashboard", mesh.url, part="read", path="/app/help")
    shown = [f"{known[0][name] * 100:+.1f}".removesuffix(".0") + " points" for name in ("lift", "lower", "upper")]
    assert "Help changes the conversion rate by {}, between {} and {}.".format(*shown) in seen["text"]
    assert "The groups have the sizes they should have." in seen["text"]
    assert (seen["intervals"], seen["faults"]) == (len(known), [])


def test_filters_are_part_of_the_address_and_of_the_question(mesh: RunningMesh) -> None:
    where = [{"field": "page", "comparison": "is", "values": ["/calculator"]}]
    steps = [{"where": [{"field": "event_type", "values": [each]}]} for each in ("page_view", "form_submit")]
    asked = {"steps": steps, "where": where, "withinSeconds": 86_400}
    (funnel, *_) = mesh.post("/api/analytics/funnels", asked).body["funnels"]
    (whole, *_) = mesh.post("/api/analytics/funnels", {**asked, "where": []}).body["funnels"]
    path = "/app/funnels?step=event_type:page_view&step=event_type:form_submit"
    seen = told("dashboard", mesh.url, part="filters", path=path)
    assert seen["faults"] == []
    assert seen["before"] == [f"{step['userCount']:,}" for step in whole["steps"]]
    assert seen["after"] == [f"{step['userCount']:,}" for step in funnel["steps"]] != seen["before"]
    assert seen["shared"] == seen["after"]
    assert seen["removed"] == seen["before"]


def test_whoever_has_no_key_is_led_to_the_sign_in(tmp_path: Path) -> None:
    with running_mesh(tmp_path, JOURNEYMESH_KEYS="required") as mesh:
        assert told("dashboard", mesh.url, part="stranger") == "/auth/sign-in?to=%2Fapp%2Ffunnels"


def test_the_experiments_page_shows_the_prompts_that_are_compared(mesh: RunningMesh) -> None:
    arms = [{"name": "control"}, {"name": "same", "value": "wording-1"}, {"name": "lost", "value": "gone"}]
    mesh.post("/api/experiments", {"experimentId": "words", "arms": arms, "metrics": [{"name": "accepted"}]})
    seen = told("dashboard", mesh.url, part="compared", experiment="words")
    assert seen["faults"] == []
    assert seen["compares"] == "Prompts"
    assert len(seen["texts"]) == 2
    assert all(text.startswith("You word one short offer of help") for text in seen["texts"])
    assert "there is no prompt gone" in seen["alert"]


def test_the_experiments_page_shows_what_is_known_and_pauses(mesh: RunningMesh) -> None:
    arms = [{"name": "control"}, {"name": "large", "value": "model-2"}]
    mesh.post("/api/experiments", {"experimentId": "page", "arms": arms, "metrics": [{"name": "sold"}], "ramp": [100]})
    mesh.post("/api/experiments/page:start", {})
    units = [{"unit": f"u-{number}"} for number in range(200)]
    assigned = mesh.post("/api/experiments:assign", {"units": units, "isExposure": True}).body["assignments"]
    sold = [each["unit"] for each in assigned if each["arm"] == "large"][::2]
    mesh.post("/api/experiments/page/outcomes", {"reports": [{"unit": unit, "outcomes": {"sold": 1}} for unit in sold]})
    seen = told("dashboard", mesh.url, part="experiments", experiment="page")
    assert seen["faults"] == []
    assert seen["intervals"] == 1
    assert "large is better in sold" in seen["running"]
    assert "It has run for 0.0 of 3 days." in seen["running"]
    (row,) = seen["rows"]
    assert (row[0], row[1], int(row[2]) + int(row[3])) == ("Sold", "large", 200)
    assert "Paused" in seen["history"]
    assert "a look at the logs" in seen["history"]
