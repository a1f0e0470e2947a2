"""Copies our modules of an image into a folder: `python -m images.gather SERVICE FOLDER`, in the Dockerfile's builder.

It needs nothing but Python. Imports are read from the source, including those inside functions, but not those under
`TYPE_CHECKING`.
"""

import ast
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from images.contents import IMAGES, Image

ROOTS: Final = (Path(), Path("gen"))
"""Where our modules are, as in `PYTHONPATH`."""

_STARTER: Final = '''"""Runs this image's service."""

import runpy

runpy.run_module("{module}", run_name="__main__", alter_sys=True)
'''


def gathered(image: Image, roots: Sequence[Path] = ROOTS) -> dict[str, Path]:
    """The source files of our modules that the image needs, by module name."""
    found: dict[str, Path] = {}
    waiting = [image.module, f"{image.module}.__main__", *image.commands]
    while waiting:
        name = waiting.pop()
        path = None if name in found or name in image.without else _source(name, roots)
        if path:
            found[name] = path
            waiting += [package for package in (name.rpartition(".")[0],) if package]
            waiting += imports(name, path)
    return found


def imports(name: str, path: Path) -> Iterator[str]:
    """The full names a module imports; for `from a import b` both `a` and `a.b`, as either may be a module."""
    for node in _at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                message = f"{name} has a relative import, which is not supported."
                raise ValueError(message)
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _at_run_time(child)


def _source(name: str, roots: Iterable[Path]) -> Path | None:
    for root in roots:
        stem = root.joinpath(*name.split("."))
        for path in (stem / "__init__.py", stem.with_suffix(".py")):
            if path.is_file():
                return path
    return None


def main(service: str, folder: Path) -> None:
    """Copies the modules and files of an image, and writes the `__main__` that `python FOLDER` runs."""
    image = IMAGES[service]
    for name, path in gathered(image).items():
        target = folder.joinpath(*name.split("."))
        target = target / "__init__.py" if path.name == "__init__.py" else target.with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for file in image.files:
        copy = shutil.copytree if Path(file).is_dir() else shutil.copyfile
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        copy(file, folder / file)
    (folder / "__main__.py").write_text(_STARTER.format(module=image.module), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
