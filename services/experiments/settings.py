"""Settings of the experiments service."""

import dataclasses

import topology
from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the experiments service."""

    listen: str = setting(
        "JOURNEYMESH_EXPERIMENTS_LISTEN", topology.address("experiments"), "Where the experiments service listens."
    )
    scoring_experiment: str = setting(
        "JOURNEYMESH_SCORING_EXPERIMENT",
        "",
        "Id of an experiment that judges a canary of scoring: the canary ends, or becomes live, with it. Empty: none "
        "does.",
    )
    scoring_target: str = setting(
        "JOURNEYMESH_SCORING_TARGET", topology.address("scoring"), "Where scoring is reached."
    )
    most_units: int = setting(
        "JOURNEYMESH_EXPERIMENTS_MOST_UNITS",
        1_000_000,
        "How many units an experiment counts; further ones get their arms, and are left out. A unit takes about 200 "
        "bytes of the store until 30 days after the end.",
        minimum=1_000,
    )
    key_file: str = setting(
        "JOURNEYMESH_EXPERIMENTS_KEY_FILE",
        "",
        "The private key that signs how units get their arms, Ed25519 in PEM; made at the first start if the file is "
        "missing. Empty: nothing is signed.",
    )
