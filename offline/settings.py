"""Settings of training and evaluation."""

from dataclasses import dataclass

from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """Where data is read from and models are written to."""

    data: str = setting("JOURNEYMESH_DATA", "../shared/data", "Directory of the data sets, one folder each.")
    models_directory: str = setting(
        "JOURNEYMESH_MODELS",
        "models/exit-risk",
        "Registry of the exit-risk models: a folder, or `s3://bucket/prefix` (docs/models.md).",
    )


@dataclass(frozen=True)
class Declared:
    """What `make train` and `make evaluate` are given: `make train DATA=… MAPPING=… LABEL=…` (docs/training.md)."""

    data: str = setting("DATA", "", "File or folder to train on or evaluate with; without it, OULAD is used.")
    mapping: str = setting("MAPPING", "", "YAML file that says what the columns of `DATA` mean.")
    label: str = setting("LABEL", "", "What to predict, such as `no event for 14 days, at events`.")
    model: str = setting("MODEL", "", "Model to evaluate: a version or a folder; without it, the live one.")
    directions: str = setting(
        "DIRECTIONS",
        "no",
        "Whether training forbids, say, more errors to lower the probability; it prints what that costs.",
        choices=("no", "yes"),
    )
    form: str = setting(
        "FORM",
        "best",
        "What a model is: `additive`, `boosted`, or `best`, which takes boosted trees where they are clearly ahead.",
        choices=("best", "additive", "boosted"),
    )
    promote: str = setting(
        "PROMOTE",
        "no",
        "Whether training makes the model live: `yes` if it is no worse than the live one, `anyway` whatever it is.",
        choices=("no", "yes", "anyway"),
    )
