"""Runs of equal values in a column of Arrow."""

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray


def differs(column: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - pyarrow has no types
    """Whether each row's value is another than that of the row before; true for the first. No value may be null."""
    found = np.ones(len(column), np.bool_)
    if len(column):
        changed = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1))
        found[1:] = changed.to_numpy(zero_copy_only=False)
    return found
