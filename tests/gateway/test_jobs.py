"""Jobs over REST: queued, seen, refused, cancelled, and each tenant its own; and what the command says of them."""

import argparse
import io

import httpx
import pytest
from rich.console import Console

from cli import jobs
from services.analytics.adapters.jobs import MemoryJobs
from services.analytics.domain import job as domain
from services.analytics.domain.job import Gate, Interval, Model, Outcome
from services.analytics.running import changed
from tests.builders import NOW_US
from tests.gateway.running import Gateway, listening

PATH = "/api/jobs"
KIND = {"kind": "customers_fit"}


async def test_a_job_is_queued_seen_and_cancelled(gateway: Gateway) -> None:
    queued = await gateway.client.post(PATH, json=KIND)
    assert queued.status_code == 202
    its = queued.json()
    assert (its["kind"], its["state"], its["progress"], its["counts"]) == ("customers_fit", "queued", 0.0, {})
    assert (its["startedTime"], its["endedTime"]) == (None, None)
    again = await gateway.client.post(PATH, json=KIND)
    assert (again.status_code, again.json()["reason"]) == (409, "JOB_UNFINISHED")
    assert (await gateway.client.get(f"{PATH}/{its['jobId']}")).json() == its
    assert (await gateway.client.get(PATH)).json() == {"jobs": [its], "refusedKinds": []}

    cancelled = await gateway.client.post(f"{PATH}/{its['jobId']}:cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert cancelled.json()["endedTime"]
    second = await gateway.client.post(PATH, json=KIND)
    assert [each["jobId"] for each in (await gateway.client.get(PATH)).json()["jobs"]] == [
        second.json()["jobId"],
        its["jobId"],
    ]


async def test_the_file_of_a_job_comes_whole_or_not_at_all() -> None:
    async with listening() as (_, url), httpx.AsyncClient(base_url=url) as client:
        found = await client.get(f"{PATH}/done/file")
        assert (found.status_code, found.text) == (200, '"customer"\n""\n')
        assert found.headers["content-type"] == "text/csv"
        assert found.headers["content-disposition"] == 'attachment; filename="customers.csv"'
        refused = await client.get(f"{PATH}/none/file")
        assert (refused.status_code, refused.json()["reason"]) == (404, "EXPORT_NOT_FOUND")
        with pytest.raises(
            httpx.RemoteProtocolError
        ):  # what has begun cannot become a problem, and must not seem whole
            await client.get(f"{PATH}/going/file")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "VALUE_OUT_OF_RANGE"),
        ({"kind": "tea"}, "VALUE_OUT_OF_RANGE"),
        ({"kind": 3}, "VALUE_OUT_OF_RANGE"),
        ([KIND], "INVALID_TYPE"),
        ({**KIND, "tenant": "acme"}, "UNKNOWN_FIELD"),
        ({**KIND, "training": {"promote": True}}, "VALUE_OUT_OF_RANGE"),
        ({"kind": "model_training", "training": {"promote": "yes"}}, "INVALID_TYPE"),
        ({"kind": "model_training", "training": {"label": "x" * 201}}, "VALUE_OUT_OF_RANGE"),
        ({"kind": "model_training", "training": {"lable": "never returns"}}, "UNKNOWN_FIELD"),
    ],
)
async def test_what_is_no_job_is_refused(gateway: Gateway, body: object, reason: str) -> None:
    answer = await gateway.client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)


async def test_what_is_not_there_or_has_ended_is_a_problem(gateway: Gateway) -> None:
    for answer in (await gateway.client.get(f"{PATH}/x"), await gateway.client.post(f"{PATH}/x:cancel")):
        assert (answer.status_code, answer.json()["reason"]) == (404, "JOB_NOT_FOUND")
    its = (await gateway.client.post(PATH, json=KIND)).json()
    await end(gateway.services.jobs, Outcome({"customers": 40}))
    ended = await gateway.client.post(f"{PATH}/{its['jobId']}:cancel")
    assert (ended.status_code, ended.json()["reason"]) == (409, "JOB_ENDED")
    done = (await gateway.client.get(f"{PATH}/{its['jobId']}")).json()
    assert (done["state"], done["progress"], done["counts"]) == ("done", 1.0, {"customers": 40})


async def test_a_training_is_asked_for_with_its_options_and_tells_its_model(gateway: Gateway) -> None:
    asked = {"kind": "model_training", "training": {"label": " never  returns ", "promote": True}}
    its = (await gateway.client.post(PATH, json=asked)).json()
    assert its["training"] == {"label": "never returns", "promote": True, "isDirected": False}
    assert (its["startedBy"], its["model"]) == ("person", None)
    figure = Interval(0.75, 0.5, 0.875)
    model = Model("archive-1", False, Gate.FAILED, figure, "other users, at events", {"auroc": figure}, "An own one.")
    await end(gateway.services.jobs, Outcome({"users": 40}, model=model))
    told = {"value": 0.75, "lower": 0.5, "upper": 0.875}
    assert (await gateway.client.get(f"{PATH}/{its['jobId']}")).json()["model"] == {
        "modelVersion": "archive-1",
        "isLive": False,
        "gate": "failed",
        "brierDifference": told,
        "measuredOn": "other users, at events",
        "figures": {"auroc": told},
        "remark": "An own one.",
    }


async def end(store: MemoryJobs, outcome: Outcome) -> None:
    await changed(store, "", lambda known: tuple(domain.ended(each, outcome, NOW_US) for each in known))


async def command(gateway: Gateway, *words: str) -> tuple[int, str]:
    """The exit code of `journeymesh jobs`, and what it printed."""
    parser, printed = argparse.ArgumentParser(), io.StringIO()
    jobs.add_arguments(parser)
    console = Console(file=printed, width=200, highlight=False, markup=False, soft_wrap=True)
    return await jobs.asked(gateway.client, parser.parse_args(words), console, 0.0), printed.getvalue()


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (Outcome({"customers": 1_040}), 0, "is done: 1,040 customers"),
        (Outcome(reason="NOTHING_TO_LEARN", detail="There is no order."), 1, "is failed: There is no order."),
    ],
)
async def test_the_command_follows_a_job_to_its_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, code: int, said: str
) -> None:
    store = gateway.services.jobs
    read = store.read

    async def ending(tenant: str) -> object:
        """It ends when it is looked at the third time."""
        looked.append(tenant)
        if len(looked) == 3:
            monkeypatch.setattr(store, "read", read)
            await end(store, outcome)
        return await read(tenant)

    looked: list[str] = []
    monkeypatch.setattr(store, "read", ending)
    found, printed = await command(gateway, "run", "customers_fit")
    assert (found, len(looked)) == (code, 3)
    assert said in printed
    assert "customers_fit" in (await command(gateway, "list"))[1]


async def test_the_command_asks_for_a_training_and_says_what_model_came_of_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = Interval(0.75, 0.5, 0.875)
    model = Model("archive-1", True, Gate.PASSED, figure, "other users, at events", {"auroc": figure}, "")
    store = gateway.services.jobs
    read = store.read

    async def ending(tenant: str) -> object:
        if (await read(tenant)).jobs:
            monkeypatch.setattr(store, "read", read)
            await end(store, Outcome({"users": 40}, model=model))
        return await read(tenant)

    monkeypatch.setattr(store, "read", ending)
    code, printed = await command(gateway, "run", "model_training", "--label", "never returns", "--promote")
    assert code == 0
    said = "archive-1 is live, shown to be no worse than the live model; auroc 0.750 (other users, at events)."
    assert said in printed
    ((job,),) = ((await read("")).jobs,)
    assert job.options == {"label": "never returns", "promote": "yes", "directions": "no"}


async def test_the_command_cancels_and_says_why_it_cannot(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    its = (await gateway.client.post(PATH, json=KIND)).json()
    assert (await command(gateway, "run", "customers_fit"))[0] == 1
    assert "queued or running" in capsys.readouterr().err
    assert await command(gateway, "cancel", its["jobId"]) == (0, f"The job {its['jobId']} is cancelled.\n")
    assert (await command(gateway, "cancel", "x"))[0] == 1
    assert "no job" in capsys.readouterr().err
