"""Routes of what runs in browsers: the tracker, the help widget, the dashboard and the demo."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.core import Core
from gateway.http import files
from gateway.http.asgi import Answer, Headers, Request
from mesh.errors import NotFound

_FOLDER: Final = Path(__file__).parents[2] / "web" / "built"

# Pages of customers load scripts from here.
_OF_SCRIPTS: Final[Headers] = ((b"cross-origin-resource-policy", b"cross-origin"),)
_OF_OURS: Final[Headers] = ((b"cross-origin-resource-policy", b"same-origin"),)
_POLICY: Final = (
    b"default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)
_OF_PAGES: Final[Headers] = (
    (b"content-security-policy", _POLICY),
    (b"x-frame-options", b"DENY"),
    *_OF_OURS,
)


def built() -> Mapping[str, files.File]:
    """What `make web` built: in a checkout, a wheel and an image it is beside the packages."""
    return files.read(_FOLDER)


async def tracker(core: Core, request: Request) -> Answer:
    """The tracker."""
    return _file(core, request, "t.js", _OF_SCRIPTS)


async def part_of_tracker(core: Core, request: Request) -> Answer:
    """What the tracker loads later."""
    return _file(core, request, f"t/{request.parameters['part']}", _OF_SCRIPTS)


async def widget(core: Core, request: Request) -> Answer:
    """The help widget."""
    return _file(core, request, "widget.js", _OF_SCRIPTS)


async def dashboard(core: Core, request: Request) -> Answer:
    """The dashboard."""
    return _page(core, request, "app")


async def file_of_dashboard(core: Core, request: Request) -> Answer:
    """What the dashboard loads; a path that is no file's is one of its views."""
    name = request.parameters["file"]
    return _file(core, request, f"app/{name}", _OF_OURS) if "." in name else _page(core, request, "app")


async def demo(core: Core, request: Request) -> Answer:
    """The demo shop."""
    return _page(core, request, "demo")


async def file_of_demo(core: Core, request: Request) -> Answer:
    """What the demo shop loads."""
    return _file(core, request, f"demo/{request.parameters['file']}", _OF_OURS)


def _page(core: Core, request: Request, name: str) -> Answer:
    return _file(core, request, f"{name}/index.html", _OF_PAGES)


def _file(core: Core, request: Request, path: str, headers: Headers) -> Answer:
    """A file that was built.

    Raises:
        NotFound: `PATH_NOT_FOUND`, there is none, or its page is switched off.
    """
    room, _, name = path.partition("/")
    file = core.files.get(path)
    is_off = name and room in {"app", "demo"} and room not in core.settings.served_pages
    if file is None or is_off or (name == "index.html" and headers is not _OF_PAGES):
        raise NotFound("PATH_NOT_FOUND", "There is no such file.")
    return files.answer(file, request, headers)
