"""Definitions that tests share."""

from typing import Final

from comparison.assignment import Arm
from services.experiments.domain.definition import Definition, Metric, Score

NOON_US: Final = 1_790_000_000_000_000
ARMS: Final = (Arm("control"), Arm("new"))
SOLD: Final = Definition("sales", "", "sales", ARMS, (Metric("sold"),))
GUARDED: Final = SOLD._replace(metrics=(Metric("sold", harm=0.1),))
SCORED: Final = SOLD._replace(metrics=(), score=Score())
