"""The package as somebody installs it: packed, installed, type-checked, bundled with React for server and Chromium."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients.story import NODE
from tests.processes import running_mesh
from tests.web.story import told

pytestmark = [pytest.mark.tools, pytest.mark.processes]

_HERE: Final = Path(__file__).parent
_WEB: Final = _HERE.parents[1] / "web"
_NODE_MODULES: Final = _HERE.parent / "node" / "node_modules"
_NPM: Final = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

_BROWSER: Final = """
import { createElement } from 'react'
import { hydrateRoot } from 'react-dom/client'
import { useEffect } from 'react'
import { Page } from './react_page.jsx'
const root = document.getElementById('root')
hydrateRoot(root, createElement(Page, { server: root.dataset.server }))
"""
_SERVER: Final = """
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { Page } from './react_page.jsx'
export const render = (server) => renderToString(createElement(Page, { server }))
"""
# Calls that the types must allow, and one they must refuse.
_TYPED: Final = """
import { createTracker, type Tracker } from '@journeymesh/browser'
import { start as signs } from '@journeymesh/browser/signs'
import { start as video } from '@journeymesh/browser/video'
import { showHelp } from '@journeymesh/browser/widget'
import { Journeymesh, useJourneymesh } from '@journeymesh/browser/react'
const tracker: Tracker = createTracker({ server: 'https://mesh.example', key: undefined, parts: [signs, video] })
const answered = ({ id }: { id: string }, answer: 'accepted' | 'declined') => console.log(id, answer)
showHelp({ server: 'https://mesh.example', key: undefined, answered }, tracker)
void useJourneymesh()?.track('task_failure', { task: 'search' })
void Journeymesh({ server: 'https://mesh.example', user: { id: 'ada' } })
// @ts-expect-error: no such type of event
void tracker.track('nonsense')
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody's project, with the packed package and React installed."""
    project = tmp_path_factory.mktemp("project")
    (project / "package.json").write_text('{"private":true,"type":"module"}')
    npm(_WEB / "tracker", "pack", "--pack-destination", str(project))
    shutil.rmtree(_WEB / "tracker" / "dist")
    (packed,) = project.glob("*.tgz")
    npm(project, "install", "--offline", "--no-audit", "--no-fund", str(packed))
    for name in ("react", "react-dom", "scheduler"):
        (project / "node_modules" / name).symlink_to(_NODE_MODULES / name)
    (project / "node_modules" / "@types").mkdir()
    (project / "node_modules" / "@types" / "react").symlink_to(_WEB / "node_modules" / "@types" / "react")
    shutil.copy(_HERE / "react_page.jsx", project)
    return project


@pytest.fixture(scope="module")
def seen(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server, bundle = installed / "server.js", installed / "bundle.js"
    bundled(installed, _BROWSER, bundle, "--platform=browser", "--format=iife")
    bundled(installed, _SERVER, server, "--platform=node", "--format=cjs")
    server.rename(server.with_suffix(".cjs"))
    with running_mesh(tmp_path_factory.mktemp("mesh"), JOURNEYMESH_CORS_ORIGINS="http://localhost:*") as mesh:
        yield told("react", mesh.url, server=str(server.with_suffix(".cjs")), bundle=str(bundle))


def npm(folder: Path, *parameters: str) -> None:
    command = [str(NODE), str(_NPM), *parameters, "--silent"]
    # What the package is made with is found by its name.
    path = os.pathsep.join([str(NODE.parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def bundled(project: Path, source: str, target: Path, *options: str) -> None:
    command = [
        *(str(NODE), str(_WEB / "node_modules" / "esbuild" / "bin" / "esbuild"), "--bundle", "--jsx=automatic"),
        *("--loader=jsx", '--define:process.env.NODE_ENV="development"', f"--outfile={target}", *options),
    ]
    done = subprocess.run(command, cwd=project, input=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
def test_its_types_are_right(installed: Path, resolution: str) -> None:
    (installed / "typed.ts").write_text(_TYPED)
    module = "esnext" if resolution == "bundler" else "nodenext"
    configured = {
        "compilerOptions": {
            "module": module,
            "moduleResolution": resolution,
            "target": "es2022",
            "lib": ["es2022", "dom"],
            "strict": True,
            "noEmit": True,
            "types": [],
        },
        "files": ["typed.ts"],
    }
    (installed / "tsconfig.json").write_text(json.dumps(configured))
    compiler = _WEB / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [str(NODE), str(compiler), "--project", str(installed)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_nothing_fails(seen: Any) -> None:
    assert seen["faults"] == []


def test_what_react_does_twice_counts_once(seen: Any) -> None:
    assert seen["ada"] == [
        ["identify", "/", ""],
        ["page_view", "/", ""],
        ["feature_interaction", "/", "shows shop"],
        ["task_failure", "/", "search"],
        ["click", "/", "search"],
        ["click", "/", "broken"],
        ["feature_interaction", "/", "rendered"],
        ["page_view", "/away", ""],
        ["feature_interaction", "/away", "shows shop"],
        ["task_failure", "/away", "search"],
        ["click", "/away", "search"],
        ["feature_interaction", "/away", "again"],
    ]


def test_after_a_logout_nothing_is_the_users_any_more(seen: Any) -> None:
    assert "nobody" in [about for _, _, about in seen["away"]]
    assert "nobody" not in [about for _, _, about in seen["ada"]]
    assert "bob" in [about for _, _, about in seen["bob"]]
