"""What `make run` prints, and where its programs expose their metrics."""

import json
from pathlib import Path

from cli.local.programs import RunSettings, environment, has_own_store, services
from cli.local.store import credentials
from cli.run import EXAMPLE, greeting

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_each_program_has_a_port_of_its_own_for_metrics() -> None:
    programs = services(RunSettings(dispatcher_count=3), "sockets")
    addresses = {each.name: each.environment["JOURNEYMESH_METRICS_LISTEN"] for each in programs}
    assert addresses == {
        "gateway": "127.0.0.1:7200",
        "ingest": "127.0.0.1:7201",
        "features": "127.0.0.1:7202",
        "scoring": "127.0.0.1:7203",
        "video": "127.0.0.1:7204",
        "intervention": "127.0.0.1:7205",
        "dispatcher": "127.0.0.1:7206",
        "archiver": "127.0.0.1:7207",
        "access": "127.0.0.1:7208",
        "analytics": "127.0.0.1:7209",
        "experiments": "127.0.0.1:7210",
        "customers": "127.0.0.1:7211",
        "dispatcher-2": "127.0.0.1:7212",
        "dispatcher-3": "127.0.0.1:7213",
    }


def test_without_a_port_no_metrics_are_exposed_whatever_the_environment_says() -> None:
    addresses = {
        each.environment["JOURNEYMESH_METRICS_LISTEN"] for each in services(RunSettings(metrics_port=0), "sockets")
    }
    assert addresses == {""}


def test_the_example_is_that_of_the_readme_at_the_address_of_this_mesh() -> None:
    for line in EXAMPLE.splitlines():
        assert line in README
    sent = EXAMPLE[EXAMPLE.index("'{") + 1 : EXAMPLE.rindex("'")]
    assert [each["eventType"] for each in json.loads(sent)["events"]][-1] == "struggle_signal"
    said = "\n".join(greeting("http://127.0.0.1:9999", 3.21))
    assert "8080" not in said
    assert "curl http://127.0.0.1:9999/api/interventions/demo-user/pending" in said


def test_where_a_key_is_required_the_example_sends_one() -> None:
    said = greeting("http://127.0.0.1:9999", 1.0, is_key_required=True)
    assert any("journeymesh keys create --kind secret" in line for line in said)
    calls = [line for line in said if line.startswith("curl ")]
    assert len(calls) == 2
    assert all('-H "Authorization: Bearer $JOURNEYMESH_KEY" ' in line for line in calls)


def test_the_demonstration_is_said_to_want_a_mesh_of_its_own_in_both_places() -> None:
    assert "once this mesh is stopped, `make demo` runs its own" in "\n".join(greeting("http://h", 1.0))
    assert "starts a mesh of its own" in " ".join(README.split())


def test_the_readme_says_how_to_use_other_ports() -> None:
    assert "JOURNEYMESH_HTTP_ADDRESS=" in README
    assert "JOURNEYMESH_STORE_PORT=" in README


def test_a_store_that_is_named_is_taken_and_else_the_embedded_one(tmp_path: Path) -> None:
    own = {"JOURNEYMESH_REDIS_URL": "redis+cluster://store:6379", "JOURNEYMESH_REDIS_PASSWORD_FILE": "/own"}
    assert has_own_store(own)
    named = environment(RunSettings(), tmp_path, own, None)
    assert own.items() <= named.items()
    embedded = credentials(tmp_path)
    for given in ({}, {"JOURNEYMESH_REDIS_URL": "", "JOURNEYMESH_REDIS_PASSWORD_FILE": "/own"}):
        assert not has_own_store(given)
        made = environment(RunSettings(), tmp_path, given, embedded)
        assert made["JOURNEYMESH_REDIS_URL"] == "redis://127.0.0.1:7100/0"
        assert made["JOURNEYMESH_REDIS_PASSWORD_FILE"] == str(embedded.password_file)
        assert embedded.password not in str(made)
