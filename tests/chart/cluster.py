"""A real API server of Kubernetes with its etcd, on free ports; it has no nodes, so that pods are judged, not run."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.conftest import free_port

TOOLS: Final = Path(__file__).parents[2] / ".tools" / "bin"
PATIENCE_SECONDS: Final = 90.0

_TOKEN: Final = "administrator"  # noqa: S105 - of a server that lives as long as a test


class Cluster(NamedTuple):
    """A namespace of a cluster: the API as a client, and how helm finds it."""

    api: httpx.Client
    kubeconfig: Path
    namespace: str = "default"

    def beside(self, name: str) -> "Cluster":
        """A new namespace, whose pods must be `restricted`."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        made = json.dumps({"metadata": {"name": name, "labels": labels}})
        self.api.post("/api/v1/namespaces", content=made).raise_for_status()
        return self._replace(namespace=name)

    def helm(self, *arguments: str) -> str:
        """What helm says in the namespace; it must succeed."""
        command = [str(TOOLS / "helm"), "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, check=False, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def named(self, path: str) -> dict[str, Any]:
        """The objects of a kind in the namespace, by name; `path` as `apps/v1/deployments` or `v1/secrets`."""
        group, _, plural = path.rpartition("/")
        answer = self.api.get(f"{_root(group)}/namespaces/{self.namespace}/{plural}").raise_for_status().json()
        return {one["metadata"]["name"]: one for one in answer["items"]}

    def judge(self, pod: dict[str, Any]) -> httpx.Response:
        """What the server would say to a pod, without making it."""
        body = {"metadata": {"name": "judged", **pod.get("metadata", {})}, "spec": pod["spec"]}
        return self.api.post(
            f"/api/v1/namespaces/{self.namespace}/pods", params={"dryRun": "All"}, content=json.dumps(body)
        )


def _root(group: str) -> str:
    return f"/apis/{group}" if "/" in group else f"/api/{group}"


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster within the block."""
    store, peers, port = (free_port() for _ in range(3))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
    etcd = (
        TOOLS / "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{store}",
        f"--advertise-client-urls=http://127.0.0.1:{store}",
        f"--listen-peer-urls=http://127.0.0.1:{peers}",
    )
    server = (
        TOOLS / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--service-account-key-file={folder / 'key.pem'}",
        f"--service-account-signing-key-file={folder / 'key.pem'}",
        "--service-account-issuer=https://cluster.test",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/16",
        # Nobody makes the accounts' tokens here; that is a controller's.
        "--disable-admission-plugins=ServiceAccount",
    )
    url = f"https://127.0.0.1:{port}"
    headers = {"authorization": f"Bearer {_TOKEN}", "content-type": "application/json"}
    with (
        _running(etcd, folder / "etcd.log"),
        _running(server, folder / "server.log"),
        httpx.Client(base_url=url, headers=headers, verify=False, timeout=30) as api,  # noqa: S501 - its own, on loopback
    ):
        _await_ready(api, folder / "server.log")
        yield Cluster(api, _kubeconfig(url, folder))


@contextlib.contextmanager
def _running(command: tuple[str | Path, ...], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.kill()  # it would wait for those who watch
        process.wait()


def _await_ready(api: httpx.Client, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if api.get("/readyz").is_success:
                return
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


def _kubeconfig(url: str, folder: Path) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "test", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    return path
