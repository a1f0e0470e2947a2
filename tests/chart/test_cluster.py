"""The chart installed on a real API server, by a real helm: what it takes, what an upgrade keeps and what it rolls."""

import copy
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from helm import render
from tests.chart.cluster import Cluster, running_cluster

pytestmark = pytest.mark.tools

CHART: Final = str(render.CHART)
DEPLOYMENTS: Final = "apps/v1/deployments"
STATEFUL_SETS: Final = "apps/v1/statefulsets"
# Their kinds come with the operators that serve them.
WITHOUT_OPERATORS: Final = tuple(
    f"--set={each}"
    for each in (
        "externalSecrets.enabled=false",
        "keda.enabled=false",
        "tls.enabled=false",
        "metrics.podMonitor=false",
        "metrics.rules=ConfigMap",
        "route.enabled=false",
    )
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(Path(tmp_path_factory.mktemp("cluster"))) as running:
        yield running


@pytest.fixture
def installed(cluster: Cluster, request: pytest.FixtureRequest) -> Cluster:
    """A namespace with the trial."""
    space = cluster.beside(hashlib.sha256(request.node.name.encode()).hexdigest()[:12])
    space.helm("install", "journeymesh", CHART)
    return space


def templates(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """What pods are made by, by the name of what makes them, with the volumes that claims become."""
    made = {}
    for name, one in (cluster.named(DEPLOYMENTS) | cluster.named(STATEFUL_SETS)).items():
        template = made[name] = one["spec"]["template"]
        for claim in one["spec"].get("volumeClaimTemplates", []):
            bound = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "bound"}}
            template["spec"]["volumes"] = [*template["spec"].get("volumes", []), bound]
    return made


@pytest.mark.parametrize("example", render.EXAMPLES)
def test_a_namespace_of_restricted_pods_takes_every_object_and_pod(cluster: Cluster, example: str) -> None:
    values = str(render.ROOT / "examples" / example / "values.yaml")
    space = cluster.beside(example)
    space.helm("install", "journeymesh", CHART, "--values", values, *WITHOUT_OPERATORS)
    made = templates(space)
    assert {name.removeprefix("journeymesh-") for name in made} >= render.values()["services"].keys()
    for name, template in made.items():
        answer = space.judge(template)
        assert answer.is_success, (name, answer.text)


def test_a_pod_that_keeps_its_capabilities_would_be_refused(installed: Cluster) -> None:
    spoilt = copy.deepcopy(templates(installed)["journeymesh-gateway"])
    del spoilt["spec"]["containers"][0]["securityContext"]["capabilities"]
    refused = installed.judge(spoilt)
    assert refused.status_code == 403
    assert 'violates PodSecurity "restricted' in refused.json()["message"]


def test_an_upgrade_keeps_the_password_and_what_holds_data(installed: Cluster) -> None:
    def kept() -> dict[str, Any]:
        secrets = {name: one["data"] for name, one in installed.named("v1/secrets").items() if one["type"] == "Opaque"}
        stores = {name: one["metadata"]["uid"] for name, one in installed.named(STATEFUL_SETS).items()}
        claims = {name: one["metadata"]["uid"] for name, one in installed.named("v1/persistentvolumeclaims").items()}
        return {"secrets": secrets, "stores": stores, "claims": claims}

    before = kept()
    assert all(before.values())
    installed.helm("upgrade", "journeymesh", CHART, "--set", "services.features.replicas=2")
    assert kept() == before
    installed.helm("rollback", "journeymesh", "1")
    assert kept() == before


def test_what_changes_for_one_service_rolls_that_one_and_a_policy_rolls_none(installed: Cluster) -> None:
    before = templates(installed)
    setting = "services.scoring.environment.JOURNEYMESH_SCORING_STATE_DAYS=30"
    installed.helm("upgrade", "journeymesh", CHART, "--set-string", setting)
    rolled = {name for name, template in templates(installed).items() if template != before[name]}
    assert rolled == {"journeymesh-scoring"}
    policy = (Path(CHART).parents[1] / "policies" / "measured.yaml").as_posix()
    given = ("--set-string", setting, "--set-file", f"policy.document={policy}")
    installed.helm("upgrade", "journeymesh", CHART, *given)  # from now on a document of the chart's own
    before = templates(installed)
    installed.helm("upgrade", "journeymesh", CHART, *given, "--set-string", "policy.document=version: other")
    assert templates(installed) == before
