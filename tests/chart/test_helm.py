"""The chart under a real helm, and its manifests under the schemas of Kubernetes."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

import kubernetes_validate
import pytest
import yaml

from helm import render
from mesh.settings import read
from services.analytics.adapters import prices
from services.analytics.domain.question import Price, Prices
from services.analytics.settings import Settings
from services.intervention.language.adapters import prices as prices_of_models
from services.intervention.language.domain.budget import Price as PriceOfModel
from tests.chart.manifests import Manifest, committed, environment, of_kind, parsed, pods, services

VERSIONS: Final = tuple(f"1.{minor}" for minor in range(28, 35))
# Their definitions come with the operators that serve them, not with Kubernetes.
OPERATED: Final = {
    "Certificate",
    "ExternalSecret",
    "HTTPRoute",
    "Issuer",
    "PodMonitor",
    "PrometheusRule",
    "ScaledObject",
}
RELEASED: Final = Path(__file__).parent / "released"
HELM: Final = str(render.ROOT.parent / ".tools" / "bin" / "helm")


def refusal(*arguments: str) -> str:
    """What helm says against values."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render.manifests(arguments)
    return str(refused.value.stderr)


@pytest.mark.tools
def test_lint_finds_nothing() -> None:
    linted = subprocess.run(
        [HELM, "lint", "--strict", "--kube-version", "1.34.0", str(render.CHART)],
        text=True,
        capture_output=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.tools
@pytest.mark.parametrize("name", render.EXAMPLES)
def test_the_committed_manifests_are_what_the_chart_installs(name: str) -> None:
    path = render.ROOT / "examples" / name / "manifests.yaml"
    assert path.read_text() == render.example(name), "run `make chart`"


@pytest.mark.tools
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "stroe.url=redis://redis:6379"], "additional properties 'stroe' not allowed"),
        (["--set", "services.dispatcher.replcas=2"], "'/services/dispatcher': additional properties 'replcas'"),
        (["--set", "services.scorring.replicas=2"], "'/services': additional properties 'scorring'"),
        (["--set", "services.gateway.resources.limit.memory=1Gi"], "additional properties 'limit' not allowed"),
        (["--set", "services.gateway.calls={ingst}"], "'/services/gateway/calls/0': value must be one of 'gateway'"),
        (["--set", "stream.kind=kafka"], "'/stream/kind': value must be one of 'redis', 'kinesis'"),
        (["--set", "networkPolicy.enabled=yes"], "'/networkPolicy/enabled': got string, want boolean"),
        (
            ["--set-string", "services.ingest.environment.JOURNEYMESH_SHRAD_COUNT=4"],
            "'JOURNEYMESH_SHRAD_COUNT' not allowed",
        ),
        (["--set", "services.ingest.environment.JOURNEYMESH_LEASE_SECONDS=4"], "got number, want string"),
    ],
)
def test_misspelt_values_are_refused_by_name(arguments: list[str], told: str) -> None:
    assert told in refusal(*arguments)


@pytest.mark.tools
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "services.archiver.replicas=2"], "More than one archiver needs archive.accessMode ReadWriteMany"),
        (["--set", "store.ca.secret=ours"], "store.ca.secret needs a store.url that begins with rediss://"),
        (["--set", "archive.url=file:///elsewhere"], "archive.url must be file:///archive"),
        (["--set", "stream.kind=kinesis"], "need aws.region"),
        (["--set", "help.email.kind=ses,aws.region=eu-west-1"], "needs the sender's address in help.email.from"),
        (["--set", "help.chat.kind=webhook"], "help.chat.kind webhook needs an https address in help.chat.url"),
        (["--set", "help.chat.kind=webhook,help.chat.url=https://a.example"], "help.webhookSecret.secret"),
        (["--set", "insights.webhookUrl=http://a.example"], "insights.webhookUrl needs an https address"),
        (["--set", "insights.webhookUrl=https://a.example"], "help.webhookSecret.secret"),
        (["--set", "ingress.enabled=true,ingress.host=a.example"], "Who may call the gateway?"),
        (["--set", "ingress.enabled=true,networkPolicy.enabled=false"], "ingress.enabled needs ingress.host"),
        (["--set", "route.enabled=true,networkPolicy.enabled=false"], "route.enabled needs the Gateway"),
        (["--set", "keda.enabled=true"], "keda.enabled needs the address of Prometheus"),
        (
            ["--set", "keda.enabled=true,keda.prometheus=http://p:9090,services.dispatcher.autoscaling.enabled=true"],
            "not by both",
        ),
        (["--set", "traces.collector.enabled=true"], "traces.collector needs to know where to"),
        (["--set", "externalSecrets.enabled=true"], "needs externalSecrets.store.name"),
        *(
            (["--set", f"image.registry={one}"], "image.registry is a host")
            for one in (
                "https://registry.example.com/team",
                "http://registry",
                "oci://registry/team",
                "registry.example.com/team/",
            )
        ),
        *(
            (["--set", f"services.{one}"], told)
            for one, told in (
                (
                    "ingest.resources.requests.memory=1Gi",
                    "requests.memory is 1Gi and so above services.ingest.resources.limits.memory, which is 256Mi.",
                ),
                ("scoring.resources.limits.memory=0.1Gi", "which is 0.1Gi."),
                ("video.resources.limits.memory=83000k", "which is 83000k."),
                ("gateway.resources.limits.cpu=99m", "requests.cpu is 100m and so above"),
                ("gateway.port=80", "services.gateway.port is 80; ports below 1024 are for root"),
                ("features.port=1023", "services.features.port is 1023"),
                ("intervention.autoscaling.minReplicas=7", "minReplicas is 7 and so above maxReplicas, which is 6."),
                ("gateway.autoscaling.maxReplicas=1", "minReplicas is 2 and so above maxReplicas, which is 1."),
            )
        ),
        (["--set", "each.resources.requests.memory=1Gi,services.video.resources=null"], "services.video.resources"),
        (["--set", "valkey.resources.requests.memory=1Gi"], "valkey.resources.requests.memory is 1Gi and so above"),
        (["--set", "traces.jaeger.resources.requests.memory=1Gi"], "traces.jaeger.resources.requests.memory"),
        (["--set", "keda.minReplicas=3"], "keda.minReplicas is 3 and so above keda.maxReplicas, which is 2."),
        *(
            (["--set", one], "it must leave a quarter of valkey.resources.limits.memory free")
            for one in (
                "valkey.maxMemory=481mb",
                "valkey.maxMemory=1gb",
                "valkey.resources.requests.memory=64Mi,valkey.resources.limits.memory=511Mi",
                "valkey.resources.requests.memory=64Mi,valkey.resources.limits.memory=0.4Gi",
            )
        ),
        *(
            (["--set", f"store.url={one}"], "store.url holds a password")
            for one in (
                "redis://:secret@redis:6379/0",
                "rediss://user:secret@redis/0",
                "redis://redis:6379/0?password=secret",
                "redis://redis:6379/0?db=1&password=secret",
                r"rediss+cluster://user:secret@one:6379\,two:6379",
            )
        ),
        (
            ["--set-string", "services.video.environment.JOURNEYMESH_REDIS_URL=redis://u:p@r/0"],
            "services.video.environment.JOURNEYMESH_REDIS_URL holds a password",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_a_sentence(arguments: list[str], told: str) -> None:
    assert told in refusal(*arguments)


@pytest.mark.tools
@pytest.mark.parametrize(
    "arguments",
    [
        "image.registry=registry.example.com:5000/team",
        "store.url=rediss://user@redis.example.com:6380/0",
        "store.url=rediss+cluster://user@redis.example.com,store.ca.secret=ours",
        "valkey.maxMemory=480mb",
        "services.gateway.port=1024",
        "services.gateway.resources.requests.memory=384Mi",
        "services.gateway.resources.limits.cpu=0.1",
        "services.gateway.resources.limits.cpu=1",
        "services.gateway.autoscaling.minReplicas=6",
        "keda.minReplicas=2",
    ],
)
def test_values_at_the_edge_are_taken(arguments: str) -> None:
    assert parsed(render.manifests(["--set-string" if "cpu" in arguments else "--set", arguments]))


@pytest.mark.tools
def test_helm_believes_in_a_kubernetes_of_today(tmp_path: Path) -> None:
    command = [HELM, "template", "journeymesh", str(render.CHART)]
    made = subprocess.run(command, text=True, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr


@pytest.mark.tools
def test_the_trial_needs_no_values() -> None:
    bare, trial = parsed(render.manifests()), committed("trial")
    missing = {(one["kind"], one["metadata"]["name"]) for one in trial} - {
        (one["kind"], one["metadata"]["name"]) for one in bare
    }
    assert {name for _, name in missing} == {"journeymesh-collector", "journeymesh-jaeger"}


@pytest.mark.tools
def test_of_a_cluster_of_stores_the_ports_of_all_that_are_named_are_open() -> None:
    url = "rediss+cluster://user@one.example:6380,two.example:6380,three.example/0"
    escaped = url.replace(",", "\\,")
    values = f"store.url={escaped},networkPolicy.store[0].ipBlock.cidr=10.0.0.0/8"
    manifests = parsed(render.manifests(["--set", values]))
    policy = of_kind(manifests, "NetworkPolicy")["journeymesh-features"]
    ports = {
        port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"] if "ipBlock" in str(rule.get("to"))
    }
    assert ports == {6379, 6380}
    assert environment(pods(manifests)["journeymesh-features"])["JOURNEYMESH_REDIS_URL"] == url
    assert "journeymesh-valkey" not in pods(manifests)


@pytest.mark.tools
def test_without_an_archive_there_is_no_archiver() -> None:
    bare = parsed(render.manifests(["--set", "archive.url="]))
    assert [one for one in bare if "archive" in one["metadata"]["name"]] == []


@pytest.mark.tools
def test_heads_of_the_audit_log_are_written_to_the_claim_that_is_named() -> None:
    named = ["--set", "audit.existingClaim=heads"]
    assert heads_of(named) == ("heads", "/audit/heads.jsonl", "/audit/key.pem")
    assert heads_of([*named, "--set", "audit.key.secret=signing"])[2] == "/run/secrets/audit/key"
    assert heads_of([]) == ("", None, None)


def heads_of(arguments: list[str]) -> tuple[str, str | None, str | None]:
    """The claim that access writes heads to, their file and the key's."""
    pod = pods(parsed(render.manifests(arguments)))["journeymesh-access"]
    spec = pod["spec"]
    claims = [each["persistentVolumeClaim"]["claimName"] for each in spec["volumes"] if "persistentVolumeClaim" in each]
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in spec["containers"][0]["volumeMounts"]}
    assert mounts.get("/audit", False) is False
    assert mounts.get("/run/secrets/audit", True) is True
    of = environment(pod)
    return "".join(claims), of.get("JOURNEYMESH_AUDIT_HEADS_FILE"), of.get("JOURNEYMESH_AUDIT_KEY_FILE")


@pytest.mark.tools
def test_only_who_posts_to_a_webhook_reaches_it_and_has_the_secret() -> None:
    values = "insights.webhookUrl=https://hooks.example:8443/1,help.webhookSecret.secret=hooks"
    manifests = parsed(render.manifests(["--set", values]))
    policies = of_kind(manifests, "NetworkPolicy")
    reaching = {
        name
        for name, policy in policies.items()
        for rule in policy["spec"].get("egress", ())
        for port in rule["ports"]
        if port["port"] == 8443
    }
    assert reaching == {"journeymesh-analytics"}
    pod = pods(manifests)["journeymesh-analytics"]
    assert environment(pod)["JOURNEYMESH_INSIGHTS_WEBHOOK_URL"] == "https://hooks.example:8443/1"
    (secret,) = (each["secret"] for each in pod["spec"]["volumes"] if each["name"] == "webhooks")
    assert secret["secretName"] == "hooks"


@pytest.mark.tools
def test_people_sign_in_with_secrets_from_a_secret_and_a_provider_that_can_be_reached() -> None:
    values = "issuer=https://id.example:8443,signIn.clientId=mesh,signIn.roles=admin=ops,signIn.publicUrl=https://mesh.example"
    assert "signIn.issuer needs" in refusal("--set", f"signIn.{values}")
    manifests = parsed(render.manifests(["--set", f"signIn.{values},signIn.secret=people,keys.required=true"]))
    pod = services(manifests)["gateway"]
    files = {name: value for name, value in environment(pod).items() if name.endswith("_SECRET_FILE")}
    assert {*files.values()} == {"/run/secrets/sign-in/client", "/run/secrets/sign-in/session"}
    assert environment(pod)["JOURNEYMESH_OIDC_ROLES"] == "admin=ops"
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "sign-in"]
    assert volume["secret"]["secretName"] == "people"
    egress = of_kind(manifests, "NetworkPolicy")["journeymesh-gateway"]["spec"]["egress"]
    assert 8443 in {port["port"] for rule in egress for port in rule["ports"]}


@pytest.mark.tools
def test_jobs_use_a_cluster_with_certificates_from_a_secret_and_only_analytics_reaches_it() -> None:
    usual = of_kind(parsed(render.manifests()), "NetworkPolicy")
    told = "jobs.cluster.address=tls://dask-scheduler.dask.svc:8788"
    manifests = parsed(render.manifests(["--set", f"{told},jobs.cluster.secret=dask-client"]))
    pod = services(manifests)["analytics"]
    settings = read(Settings, environment(pod))
    assert settings.jobs_cluster == "tls://dask-scheduler.dask.svc:8788"
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "cluster"]
    assert volume["secret"]["secretName"] == "dask-client"
    (mount,) = [each for each in pod["spec"]["containers"][0]["volumeMounts"] if each["name"] == "cluster"]
    mounted = {f"{mount['mountPath']}/{item['path']}" for item in volume["secret"]["items"]}
    assert {*settings.jobs_cluster_files} == mounted
    assert settings.jobs_cluster_files.key.endswith("tls.key")
    others = [each for name, each in services(manifests).items() if name != "analytics"]
    assert not [each for each in others if "JOURNEYMESH_JOBS_CLUSTER" in environment(each)]

    policies = of_kind(manifests, "NetworkPolicy")
    (changed,) = [name for name, each in policies.items() if each != usual[name]]
    assert changed == "journeymesh-analytics"
    before, now = (each[changed]["spec"]["egress"] for each in (usual, policies))
    assert [each for each in now if each not in before] == [
        {"to": render.values()["networkPolicy"]["cluster"], "ports": [{"protocol": "TCP", "port": 8788}]}
    ]


@pytest.mark.tools
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("address=tls://a:8786", "jobs.cluster.address needs the certificates in jobs.cluster.secret"),
        ("address=tls://a:8786,jobs.cluster.secret=b,archive.url=", "what to read: archive.url"),
        (
            "address=tcp://a:8786,jobs.cluster.secret=b",
            "'/jobs/cluster/address': 'tcp://a:8786' does not match",
        ),
        ("address=tls://a,jobs.cluster.secret=b", "does not match pattern"),
        ("adress=tls://a:8786", "additional properties 'adress' not allowed"),
    ],
)
def test_a_cluster_that_jobs_could_not_use_is_refused(values: str, told: str) -> None:
    assert told in refusal("--set", f"jobs.cluster.{values}")


@pytest.mark.tools
def test_policies_of_tenants_are_files_of_the_folder_that_intervention_reads() -> None:
    named = ["--set", "policy.tenants.acme=version: one", "--set", "policy.tenants.blue=version: two"]
    manifests = parsed(render.manifests(named))
    documents = of_kind(manifests, "ConfigMap")["journeymesh-tenant-policies"]["data"]
    assert {name: yaml.safe_load(text)["version"] for name, text in documents.items()} == {
        "acme.yaml": "one",
        "blue.yaml": "two",
    }
    pod = services(manifests)["intervention"]
    folder = environment(pod)["JOURNEYMESH_TENANT_POLICIES"]
    (mount,) = [each for each in pod["spec"]["containers"][0]["volumeMounts"] if each["mountPath"] == folder]
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == mount["name"]]
    assert volume["configMap"]["name"] == "journeymesh-tenant-policies"
    assert "Not_A_Tenant" in refusal("--set", "policy.tenants.Not_A_Tenant=version: one")


@pytest.mark.tools
@pytest.mark.parametrize(
    ("value", "setting", "name"),
    [
        ("policy.arms", "JOURNEYMESH_POLICY_ARMS", "journeymesh-policy-arms"),
        ("help.prompts", "JOURNEYMESH_PROMPTS", "journeymesh-prompts"),
    ],
)
def test_what_arms_name_are_files_of_the_folder_that_intervention_reads(value: str, setting: str, name: str) -> None:
    named = ["--set", f"{value}.eager=version: one", "--set", f"{value}.Very_eager=version: two"]
    manifests = parsed(render.manifests(named))
    documents = of_kind(manifests, "ConfigMap")[name]["data"]
    assert {file: yaml.safe_load(text)["version"] for file, text in documents.items()} == {
        "Very_eager.yaml": "two",
        "eager.yaml": "one",
    }
    pod = services(manifests)["intervention"]
    folder = environment(pod)[setting]
    (mount,) = [each for each in pod["spec"]["containers"][0]["volumeMounts"] if each["mountPath"] == folder]
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == mount["name"]]
    assert volume["configMap"]["name"] == name
    assert "../eager" in refusal("--set-json", f'{value}={{"../eager":"version: one"}}')


@pytest.mark.tools
def test_the_key_of_experiments_comes_from_a_secret_that_experiments_alone_can_read() -> None:
    manifests = services(parsed(render.manifests(["--set", "experiments.key.secret=signing"])))
    readers = {
        name
        for name, pod in manifests.items()
        for volume in pod["spec"]["volumes"]
        if volume.get("secret", {}).get("secretName") == "signing"
    }
    assert readers == {"experiments"}
    assert environment(manifests["experiments"])["JOURNEYMESH_EXPERIMENTS_KEY_FILE"] == "/run/secrets/experiments/key"


@pytest.mark.tools
def test_prices_are_a_file_that_analytics_and_intervention_read(tmp_path: Path) -> None:
    haiku = {"id": "anthropic.claude-haiku", "usdPerMillionInputTokens": 1, "usdPerMillionOutputTokens": 5}
    priced = ["--set-json", 'costs.prices=[{"name":"store","usdPerDay":12.5}]', "--set", "costs.dailyBudgetUsd=20"]
    manifests = parsed(render.manifests([*priced, "--set-json", f"costs.models={json.dumps([haiku])}"]))
    file = tmp_path / "prices.json"
    file.write_text(of_kind(manifests, "ConfigMap")["journeymesh-prices"]["data"]["prices.json"])
    assert prices.read(str(file)) == Prices((Price("store", usd_per_day=12.5),), 20.0)
    assert prices_of_models.read(str(file))["anthropic.claude-haiku"] == PriceOfModel(1_000, 5_000)
    for name in ("analytics", "intervention"):
        pod = services(manifests)[name]
        folder = Path(environment(pod)["JOURNEYMESH_PRICES_FILE"]).parent
        (mount,) = [each for each in pod["spec"]["containers"][0]["volumeMounts"] if each["mountPath"] == str(folder)]
        (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == mount["name"]]
        assert volume["configMap"]["name"] == "journeymesh-prices"
    assert "usdPerYear" in refusal("--set", "costs.prices[0].name=store", "--set", "costs.prices[0].usdPerYear=1")
    assert "id" in refusal("--set", "costs.models[0].id=haiku")


@pytest.mark.tools
def test_the_first_keys_come_from_a_secret_that_access_alone_can_read() -> None:
    manifests = services(parsed(render.manifests(["--set", "keys.existingSecret=first"])))
    readers = {
        name
        for name, pod in manifests.items()
        for volume in pod["spec"]["volumes"]
        if volume.get("secret", {}).get("secretName") == "first"
    }
    assert readers == {"access"}
    assert environment(manifests["access"])["JOURNEYMESH_KEYS_FOLDER"] == "/run/secrets/keys"


@pytest.mark.tools
def test_with_tls_the_valkey_in_the_cluster_speaks_it_alone() -> None:
    manifests = parsed(render.manifests(["--set", "tls.enabled=true"]))
    (configuration,) = of_kind(manifests, "ConfigMap")["journeymesh-valkey"]["data"].values()
    lines = [line.strip() for line in configuration.splitlines()]
    assert {"port 0", "tls-port 6379", "tls-cert-file /tls/tls.crt"} <= {*lines}
    names = of_kind(manifests, "Certificate")["journeymesh-valkey"]["spec"]["dnsNames"]
    assert "journeymesh-valkey" in names
    for name, pod in services(manifests).items():
        if "JOURNEYMESH_REDIS_URL" in environment(pod):
            assert environment(pod)["JOURNEYMESH_REDIS_URL"] == "rediss://journeymesh-valkey:6379/0", name
            assert environment(pod)["JOURNEYMESH_REDIS_CA_FILE"] == "/tls/ca.crt", name
    elsewhere = parsed(render.manifests(["--set", "tls.enabled=true,store.url=rediss://redis.example:6379/0"]))
    assert "journeymesh-valkey" not in of_kind(elsewhere, "Certificate")
    assert "JOURNEYMESH_REDIS_CA_FILE" not in environment(services(elsewhere)["features"])


@pytest.mark.tools
def test_where_the_platform_gives_the_user_none_is_named() -> None:
    text = render.manifests(["--set", "userId=null"])
    assert "runAsUser" not in text
    assert "fsGroup" not in text


@pytest.mark.tools  # needs none, but half a minute
@pytest.mark.parametrize("name", render.EXAMPLES)
def test_manifests_are_valid_for_each_version_of_kubernetes(name: str) -> None:
    manifests = committed(name)
    assert {one["kind"] for one in manifests} & OPERATED or name == "trial"
    for manifest in manifests:
        if manifest["kind"] not in OPERATED:
            for version in VERSIONS:
                assert kubernetes_validate.validate(manifest, version, strict=True) == version


def fixed(manifests: list[Manifest]) -> dict[str, Any]:
    """What an upgrade must not change: else data stay behind, or the cluster refuses it."""
    kept: dict[str, Any] = {}
    for kind in ("Deployment", "StatefulSet"):
        for name, one in of_kind(manifests, kind).items():
            spec = one["spec"]
            kept[f"{kind} {name}"] = {
                key: spec[key] for key in ("selector", "serviceName", "volumeClaimTemplates") if key in spec
            }
    for name, one in of_kind(manifests, "Service").items():
        kept[f"Service {name}"] = {key: one["spec"].get(key) for key in ("clusterIP", "ports", "selector")}
    for name, one in of_kind(manifests, "PersistentVolumeClaim").items():
        kept[f"PersistentVolumeClaim {name}"] = one["spec"]
    for name, one in of_kind(manifests, "Secret").items():
        kept[f"Secret {name}"] = sorted(one["data"])
    return kept


@pytest.mark.parametrize("released", sorted(RELEASED.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_upgrade_finds_its_data_and_is_taken_by_the_cluster(released: Path) -> None:
    before, now = yaml.safe_load(released.read_text()), fixed(committed("trial"))
    assert {name: now.get(name) for name in before} == before


class Cluster(BaseHTTPRequestHandler):
    """As much of a cluster's API as helm asks when it looks a Secret up."""

    secrets: ClassVar[dict[str, Manifest]] = {}
    resources: ClassVar[list[Manifest]] = [
        {"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret", "verbs": ["get", "list"]}
    ]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        known: dict[str, Manifest] = {
            "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": self.resources},
        }
        secret = self.secrets.get(path.removeprefix("/api/v1/namespaces/journeymesh/secrets/"))
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        answer = known.get(path) or secret
        self.send_response(200 if answer else 404)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer or missing).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[str]]:
    """The arguments that make helm look things up, in a cluster of which only the Secrets are there."""
    Cluster.secrets = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        place = {"server": f"http://127.0.0.1:{server.server_port}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": place}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
            "users": [{"name": "here", "user": {}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        yield ["--dry-run=server", "--disable-openapi-validation", "--kubeconfig", str(path)]
        server.shutdown()
        thread.join()


def secret(name: str, data: dict[str, str], version: str) -> Manifest:
    metadata = {"name": name, "namespace": "journeymesh", "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@pytest.mark.tools
def test_the_store_s_password_is_drawn_once_and_kept_over_upgrades(cluster: list[str]) -> None:
    def passwords() -> str:
        made = subprocess.run(
            [
                HELM,
                "template",
                "journeymesh",
                str(render.CHART),
                *cluster,
                "-n",
                "journeymesh",
                "--kube-version",
                "1.34.0",
            ],
            text=True,
            capture_output=True,
            check=True,
        )
        return str(of_kind(parsed(made.stdout), "Secret")["journeymesh-valkey"]["data"]["password"])

    first = passwords()
    assert first != passwords(), "nothing is kept yet, so each is drawn anew"
    Cluster.secrets = {"journeymesh-valkey": secret("journeymesh-valkey", {"password": first}, "7")}
    assert passwords() == passwords() == first


@pytest.mark.tools
def test_another_version_of_a_named_secret_rolls_those_who_read_it(cluster: list[str]) -> None:
    def annotations() -> dict[str, str | None]:
        arguments = [*cluster, "--set", "store.password.secret=ours"]
        made = of_kind(parsed(render.manifests(arguments)), "Deployment", "StatefulSet")
        return {
            name: one["spec"]["template"]["metadata"]["annotations"].get("journeymesh/secret-versions")
            for name, one in made.items()
        }

    Cluster.secrets = {"ours": secret("ours", {"password": "YQ=="}, "41")}
    before = annotations()
    Cluster.secrets = {"ours": secret("ours", {"password": "Yg=="}, "42")}
    after = annotations()
    assert {name for name in before if before[name] != after[name]} == before.keys() - {"journeymesh-gateway"}


@pytest.mark.tools
def test_the_notes_tell_what_to_do_next(tmp_path: Path) -> None:
    # Helm shows notes only when it installs, so they are made a template's value here.
    chart = tmp_path / "journeymesh"
    shutil.copytree(render.CHART, chart)
    shutil.move(chart / "templates" / "NOTES.txt", chart / "notes.txt")
    (chart / "templates" / "notes.yaml").write_text('notes: {{ tpl (.Files.Get "notes.txt") . | toJson }}')
    arguments = ["--show-only", "templates/notes.yaml", "--set", "traces.jaeger.enabled=true"]
    (told,) = parsed(render.manifests(arguments, chart=chart))
    assert "port-forward service/journeymesh-gateway 8080:8080" in told["notes"]
    assert "/api/interventions/demo-user/pending" in told["notes"]
    assert "service/journeymesh-jaeger 16686" in told["notes"]
    assert "metrics.dashboards=true" in told["notes"]
