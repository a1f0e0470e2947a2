"""Takes pictures of the dashboard's pages into a folder: `python -m tests.web.screenshots [folder]`."""

import sys
import tempfile
from pathlib import Path

from tests.web.filled import STRUGGLER, filled_mesh
from tests.web.story import told
from tests.web.test_dashboard import PATHS

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "var/pictures").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, filled_mesh(Path(place)) as mesh:
        helped = mesh.post("/api/analytics/lists", {"kind": "offers", "limit": 1000}).body["rows"]
        richest = max((row["userId"] for row in helped if not row["userId"].startswith("visitor")), key=len)
        paths = [path.replace(STRUGGLER, richest) for path in PATHS]
        told("dashboard", mesh.url, part="pictures", paths=paths, folder=str(folder))
