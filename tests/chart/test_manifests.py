"""What the examples install: pods that are restricted, edges that are declared, settings that are read."""

from typing import Any, Final

import pytest

import topology
from gateway.routes.table import ROUTES
from helm import render
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import policy_of
from tests.chart.manifests import (
    Manifest,
    committed,
    containers,
    environment,
    matches,
    of_kind,
    pods,
    quantity,
    services,
)

# What AWS' own clients read, and no settings class of ours.
AWS_SETTINGS: Final = {"AWS_REGION", "AWS_DEFAULT_REGION"}
PRIVATE_ROUTES: Final = {"/demo", "/demo/{file}", "/metrics", "/healthz", "/startupz", "/readyz"}
GIB: Final = 2**30


@pytest.fixture(params=render.EXAMPLES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return committed(request.param)


def egress(policy: Manifest) -> list[tuple[Manifest, int]]:
    """Peers and ports a policy lets out to, but for the resolution of names."""
    return _allowed(policy, "egress", "to")


def ingress(policy: Manifest) -> list[tuple[Manifest, int]]:
    return _allowed(policy, "ingress", "from")


def _allowed(policy: Manifest, way: str, side: str) -> list[tuple[Manifest, int]]:
    return [
        (peer, port["port"])
        for rule in policy["spec"].get(way, [])
        for peer in rule[side]
        for port in rule["ports"]
        if port["port"] != 53
    ]


def component(peer: Manifest) -> str:
    """The component a peer means; empty where it is none of ours."""
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return str(labels.get("app.kubernetes.io/component", ""))


def test_every_pod_is_restricted(manifests: list[Manifest]) -> None:
    assert len(pods(manifests)) >= 9
    for pod in pods(manifests).values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        # Else the cluster would set variables such as JOURNEYMESH_INGEST_PORT.
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
        assert all(not {"hostPath"} & set(volume) for volume in spec["volumes"])
    for _, container in containers(manifests):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_every_container_has_bounds_and_what_it_may_write_has_too(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        resources = container["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}, name
        assert quantity(resources["requests"]["memory"]) <= quantity(resources["limits"]["memory"])
    for pod in pods(manifests).values():
        written = [volume["emptyDir"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume]
        assert len(written) == 1
        assert "sizeLimit" in written[0]


def test_every_mount_has_its_volume_and_no_secret_is_a_variable(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests).items():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        stateful = of_kind(manifests, "StatefulSet").get(name, {}).get("spec", {})
        volumes |= {claim["metadata"]["name"] for claim in stateful.get("volumeClaimTemplates", [])}
        (container,) = pod["spec"]["containers"]
        mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounted.keys() == volumes, name
        writable = {one for one, mount in mounted.items() if not mount.get("readOnly")}
        assert writable <= {"tmp", "data", "archive"}
        assert all("value" in one for one in container.get("env", []))
        assert "envFrom" not in container


def test_the_trial_asks_for_less_than_two_gibibytes_with_jaeger_and_collector() -> None:
    asked = [quantity(one["resources"]["requests"]["memory"]) for _, one in containers(committed("trial"))]
    assert len(asked) == 16
    assert sum(asked) <= 2 * GIB


def test_valkey_s_data_leave_room_within_its_limit() -> None:
    valkey = render.values()["valkey"]
    most = quantity(valkey["maxMemory"].replace("mb", "Mi").replace("gb", "Gi"))
    assert most <= 0.75 * quantity(valkey["resources"]["limits"]["memory"])


def test_probes_tell_life_from_readiness(manifests: list[Manifest]) -> None:
    for name, pod in services(manifests).items():
        (container,) = pod["spec"]["containers"]
        lives, ready = container["livenessProbe"], container["readinessProbe"]
        if name == "gateway":
            assert (lives["httpGet"]["path"], ready["httpGet"]["path"]) == ("/healthz", "/healthz")
            assert container["startupProbe"]["httpGet"] == {"path": "/startupz", "port": "http"}
            left_to_leave = int(environment(pod)["JOURNEYMESH_LEAVE_SECONDS"])
        else:
            assert (lives["grpc"], ready["grpc"]) == ({"port": 7190, "service": "live"}, {"port": 7190})
            assert environment(pod)["JOURNEYMESH_PROBE_LISTEN"] == "0.0.0.0:7190"
            left_to_leave = 0
        assert {"grpc": container["startupProbe"].get("grpc")} == {"grpc": lives.get("grpc")}
        # Before SIGTERM callers learn that it goes; after it, running calls end.
        assert container["lifecycle"]["preStop"]["exec"]["command"][0] == "python"
        assert pod["spec"]["terminationGracePeriodSeconds"] >= 5 + left_to_leave + 20 + 10


def test_a_valkey_that_loads_its_file_is_neither_ready_nor_dead() -> None:
    (pod,) = [pod for name, pod in pods(committed("trial")).items() if name.endswith("valkey")]
    (container,) = pod["spec"]["containers"]
    assert container["startupProbe"]["tcpSocket"] == container["livenessProbe"]["tcpSocket"] == {"port": "redis"}
    assert "PONG" in str(container["readinessProbe"]["exec"])


def test_certificates_are_for_both_ways() -> None:
    certificates = of_kind(committed("production-aws"), "Certificate")
    for name in services(committed("production-aws")):
        names = certificates[f"journeymesh-{name}"]["spec"]["dnsNames"]
        for host in (f"journeymesh-{name}", f"journeymesh-{name}-any"):
            assert {host, f"{host}.journeymesh.svc"} <= set(names)


def test_the_pod_of_the_test_goes_when_it_has_passed() -> None:
    check = of_kind(committed("trial"), "Pod")["journeymesh-check"]
    annotations = check["metadata"]["annotations"]
    assert annotations["helm.sh/hook-delete-policy"].split(",") == ["before-hook-creation", "hook-succeeded"]
    assert annotations["helm.sh/hook-output-log-policy"].split(",") == ["hook-succeeded", "hook-failed"]


def test_what_is_set_is_what_the_process_reads(manifests: list[Manifest]) -> None:
    declared, rooms = render.values()["services"], render.settings()
    for name, pod in services(manifests).items():
        image = declared[name]["image"]
        read = {one for room, names in rooms.items() if room.startswith((image, "every process")) for one in names}
        assert environment(pod).keys() - AWS_SETTINGS <= read, name


def test_with_certificates_each_process_is_called_by_its_callers_only(manifests: list[Manifest]) -> None:
    for name, pod in services(manifests).items():
        set_ = environment(pod)
        if "JOURNEYMESH_TLS_CA_FILE" not in set_ or name == "gateway":
            assert "JOURNEYMESH_TLS_CALLERS" not in set_
            continue
        names = {f"{caller}=journeymesh-{caller}" for caller, callee in topology.calls() if callee == name}
        assert set(set_["JOURNEYMESH_TLS_CALLERS"].split()) == names


def test_targets_are_the_calls_by_every_replica_and_by_any_that_is_ready(manifests: list[Manifest]) -> None:
    headless = of_kind(manifests, "Service")
    edges = set()
    for name, pod in services(manifests).items():
        for variable, value in environment(pod).items():
            if not variable.endswith("_TARGET"):
                continue
            callee = variable.removeprefix("JOURNEYMESH_").removesuffix("_TARGET").lower()
            service, virtual = headless[f"journeymesh-{callee}"], headless[f"journeymesh-{callee}-any"]
            assert service["spec"]["clusterIP"] == "None"
            assert virtual["spec"] == {key: one for key, one in service["spec"].items() if key != "clusterIP"}
            (port,) = service["spec"]["ports"]
            names = (f"journeymesh-{callee}", f"journeymesh-{callee}-any")
            assert value.split() == [f"dns:///{name}.journeymesh.svc:{port['port']}" for name in names]
            (container,) = services(manifests)[callee]["spec"]["containers"]
            assert {"name": port["targetPort"], "containerPort": port["port"]} in container["ports"]
            edges.add((name, callee))
    assert edges == topology.calls()


def test_network_policies_let_through_what_is_declared_and_nothing_else(manifests: list[Manifest]) -> None:
    policies = {name.removeprefix("journeymesh-"): one for name, one in of_kind(manifests, "NetworkPolicy").items()}
    denied = policies.pop("deny")["spec"]
    assert denied.keys() == {"podSelector", "policyTypes"}
    everybody = [pod["metadata"]["labels"] for pod in pods(manifests).values()]
    assert all(matches(denied["podSelector"], labels) for labels in everybody)
    for name, policy in policies.items():
        chosen = [labels for labels in everybody if matches(policy["spec"]["podSelector"], labels)]
        assert [labels["app.kubernetes.io/component"] for labels in chosen] == [name]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]

    inside, ours = policies.keys(), topology.calls()
    out = {(name, component(peer)) for name, one in policies.items() for peer, _ in egress(one)}
    into = {(component(peer), name) for name, one in policies.items() for peer, _ in ingress(one)}
    between = {edge for edge in out if edge[1]}
    assert between == {edge for edge in into if edge[0]}, "both ends let the same through"
    beside = {"valkey", "collector", "jaeger", "check"} & inside
    assert {edge for edge in between if not beside & set(edge)} == ours
    ports = {name: own["port"] for name, own in render.values()["services"].items()} | {
        "valkey": 6379,
        "collector": 4317,
        "jaeger": 4317,
    }
    assert all(
        port == ports[component(peer)] for one in policies.values() for peer, port in egress(one) if component(peer)
    )


def test_only_those_with_a_role_reach_aws() -> None:
    manifests = committed("production-aws")
    policies = of_kind(manifests, "NetworkPolicy")
    anywhere = {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}
    out = {name for name, one in policies.items() for peer, _ in egress(one) if peer.get("ipBlock") == anywhere}
    accounts = of_kind(manifests, "ServiceAccount")
    roles = {
        name: one["metadata"]["annotations"].popitem()[1]
        for name, one in accounts.items()
        if "annotations" in one["metadata"]
    }
    outward = ("ingest", "dispatcher", "archiver", "intervention", "analytics", "scoring")
    assert out == roles.keys() == {f"journeymesh-{one}" for one in outward}
    assert len(set(roles.values())) == len(roles)
    asking = {
        name
        for name, pod in services(manifests).items()
        if environment(pod).get("JOURNEYMESH_LANGUAGE_MODEL") == "bedrock"
    }
    assert asking == {"intervention"}


def test_the_trial_lets_nothing_out_of_the_cluster() -> None:
    policies = of_kind(committed("trial"), "NetworkPolicy").values()
    assert [peer for policy in policies for peer, _ in egress(policy) if not component(peer)] == []


def test_what_is_more_than_one_is_disrupted_one_by_one(manifests: list[Manifest]) -> None:
    budgets, scaled = (
        of_kind(manifests, "PodDisruptionBudget"),
        of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject"),
    )
    for name, deployment in of_kind(manifests, "Deployment").items():
        replicas = deployment["spec"].get("replicas")
        assert (replicas is None) == (name in scaled)
        assert (name in budgets) == (replicas is None or replicas > 1)
        assert (
            deployment["spec"]["selector"]["matchLabels"].items()
            <= deployment["spec"]["template"]["metadata"]["labels"].items()
        )


def test_images_are_the_mesh_s_or_known(manifests: list[Manifest]) -> None:
    own = {service.name for service in topology.SERVICES} | {"cli"}
    known = {"valkey/valkey", "otel/opentelemetry-collector", "jaegertracing/jaeger"}
    for _, container in containers(manifests):
        name, _, tag = container["image"].rpartition(":")
        assert tag not in {"", "latest"}
        assert name in known or (name.rpartition("/")[0].endswith("journeymesh") and name.rpartition("/")[2] in own)


@pytest.mark.parametrize(("example", "kind"), [("high-availability", "Ingress"), ("production-aws", "HTTPRoute")])
def test_the_entrance_leads_to_all_that_is_public_and_to_nothing_else(example: str, kind: str) -> None:
    (entrance,) = of_kind(committed(example), kind).values()
    (rule,) = entrance["spec"]["rules"]
    matched: list[Any] = rule["http"]["paths"] if kind == "Ingress" else [one["path"] for one in rule["matches"]]
    paths = [(one.get("path") or one["value"], (one.get("pathType") or one["type"]) != "Exact") for one in matched]
    for route in ROUTES:
        let_in = any(
            route.path == path or (is_prefix and route.path.startswith(f"{path}/")) for path, is_prefix in paths
        )
        assert let_in == (route.path not in PRIVATE_ROUTES), route.path


def test_certificates_bear_the_names_callers_ask_for() -> None:
    manifests = committed("production-aws")
    certificates = of_kind(manifests, "Certificate")
    for name, pod in services(manifests).items():
        certificate = certificates[f"journeymesh-{name}"]["spec"]
        assert f"journeymesh-{name}.journeymesh.svc" in certificate["dnsNames"]
        assert {"server auth", "client auth"} <= set(certificate["usages"])
        (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == "tls"]
        assert volume["secret"]["secretName"] == certificate["secretName"]
        assert environment(pod)["JOURNEYMESH_TLS_CA_FILE"] == "/tls/ca.crt"


def test_a_policy_given_by_a_value_is_a_policy_and_rolls_nobody() -> None:
    manifests = committed("high-availability")
    document = of_kind(manifests, "ConfigMap")["journeymesh-policy"]["data"]["policy.yaml"]
    policy_of(parse(document))
    deciding = services(manifests)["intervention"]
    assert environment(deciding)["JOURNEYMESH_POLICY"] == "/policy/policy.yaml"
    assert not any("policy" in key for key in deciding["metadata"]["annotations"])
