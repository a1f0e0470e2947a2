"""Where the programs of `make run` tell their metrics."""

from cli.programs import RunSettings, services


def test_each_program_has_a_port_of_its_own_for_metrics() -> None:
    programs = services(RunSettings(dispatcher_count=3), "sockets")
    told = {each.name: each.environment["JOURNEYMESH_METRICS_LISTEN"] for each in programs}
    assert told == {
        "gateway": "127.0.0.1:7200",
        "ingest": "127.0.0.1:7201",
        "features": "127.0.0.1:7202",
        "scoring": "127.0.0.1:7203",
        "video": "127.0.0.1:7204",
        "intervention": "127.0.0.1:7205",
        "dispatcher": "127.0.0.1:7206",
        "archiver": "127.0.0.1:7207",
        "dispatcher-2": "127.0.0.1:7208",
        "dispatcher-3": "127.0.0.1:7209",
    }


def test_without_a_port_none_tells_its_metrics_whatever_the_environment_says() -> None:
    told = {each.environment["JOURNEYMESH_METRICS_LISTEN"] for each in services(RunSettings(metrics_port=0), "sockets")}
    assert told == {""}
