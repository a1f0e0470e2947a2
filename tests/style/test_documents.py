"""Whoever reads YAML from outside reads it within limits."""

from tests.style.test_repository import ROOT, tracked

_OWN = {"mesh/documents.py", "helm/render.py", "cli/demo.py", "offline/decisions/rewriting.py"}
"""The reader itself, and readers of this repository's own documents or of one that it has read before."""


def test_yaml_is_read_by_one_reader() -> None:
    rooms = {"mesh", "records", "services", "gateway", "offline", "cli", "helm", "monitoring"}
    readers = {
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if path.relative_to(ROOT).parts[0] in rooms
        and any(word in path.read_text() for word in ("yaml.safe_load", "yaml.load", "SafeLoader", "yaml.compose"))
    }
    assert readers == _OWN
