"""Rooms stay small, locks stay clean, generated pages stay true."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import mesh
from cli import reference

ROOT = Path(__file__).parents[2]
LONGEST = {"servicer.py": 150, "__main__.py": 60}
LONGEST_MODULE = 600


def tracked(*patterns: str) -> list[Path]:
    """The files git knows, or all below the rooms where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],  # noqa: S607 - git of the machine
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_rooms_stay_small() -> None:
    rooms = ("topology", "comparison", "mesh", "records", "services", "gateway", "offline", "cli", "monitoring")
    long = {
        str(path.relative_to(ROOT)): lines
        for room in (*rooms, "images", "helm")
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LONGEST.get(path.name, LONGEST_MODULE)
    }
    assert long == {}


@pytest.mark.parametrize("name", ["run.lock", "dev.lock"])
def test_a_lock_pins_with_hashes_and_names_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    packages = re.findall(r"^[a-z0-9][^ ]*", text, flags=re.MULTILINE)
    assert len(packages) > 20
    assert all("==" in package for package in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert not re.search(r"https?://|index-url|find-links", text)


def test_nothing_names_a_machine_s_path() -> None:
    pattern = re.compile(r"(^|[^A-Za-z0-9_.])/(work|root|home)/\w")
    guilty = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".proto", ".json", ""} and path.name != Path(__file__).name
        for line in path.read_text(errors="ignore").splitlines()
        if pattern.search(line)
    ]
    assert guilty == []


def test_the_shape_of_a_policy_is_what_the_code_reads() -> None:
    assert reference.SCHEMA_PATH.read_text() == reference.policy_schema()


def test_the_table_of_settings_is_what_the_code_reads() -> None:
    assert reference.SETTINGS_PATH.read_text(encoding="utf-8") == reference.settings_table(), "run `make docs`"


def test_the_table_of_metrics_is_that_of_the_registry() -> None:
    assert reference.METRICS_PATH.read_text(encoding="utf-8") == reference.metrics_table(), "run `make docs`"


def test_the_page_of_the_topology_is_what_the_code_reads() -> None:
    assert reference.PERMISSIONS_PATH.read_text(encoding="utf-8") == reference.permissions_page(), "run `make docs`"
    assert reference.TOPOLOGY_PATH.read_text(encoding="utf-8") == reference.topology_page(), "run `make docs`"


def test_the_page_of_the_features_is_what_the_code_says() -> None:
    assert reference.FEATURES_PATH.read_text(encoding="utf-8") == reference.features_page(), "run `make docs`"


def test_one_release_has_one_version() -> None:
    chart = yaml.safe_load((ROOT / "helm" / "journeymesh" / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["version"], chart["version"], chart["appVersion"]) == (mesh.VERSION,) * 3


def test_every_link_in_the_documents_leads_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in tracked("*.md")
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_index_of_decisions_names_each_once() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"^\| \[\d{3}\]\(([^)]+)\)", (folder / "README.md").read_text(), flags=re.MULTILINE)
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
