"""The gate of an export: the ONNX file must agree with the scikit-learn model, or there is no file.

And what serving checks again before a model serves: some rows, and what the file says of them.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
from sklearn.calibration import CalibratedClassifierCV

LIMIT: Final = 1e-6
_VECTORS: Final = 16


class ParityError(Exception):
    """The exported model disagrees with the trained one."""


def require(file: bytes, model: CalibratedClassifierCV, rows: npt.NDArray[np.float64]) -> float:
    """Checks the file; returns the largest absolute difference of probabilities over the rows.

    Raises:
        ParityError: the difference is above 1e-6, or the terms do not sum to the logit within that.
    """
    probabilities, terms = run(file, rows)
    difference = float(np.abs(probabilities - model.predict_proba(rows)[:, 1]).max())
    summed = float(np.abs(probabilities - 1.0 / (1.0 + np.exp(-terms.sum(axis=1)))).max())
    if not max(difference, summed) <= LIMIT:
        message = f"ONNX is off by {difference:.3g}, its terms by {summed:.3g}; at most {LIMIT:g} is allowed."
        raise ParityError(message)
    return difference


def run(file: bytes, rows: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The probabilities and the terms that a file gives for rows of its features."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    probabilities, terms = session.run(["probability", "terms"], {"features": rows})
    return probabilities, terms


def vectors(file: bytes, rows: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Rows from the least to the greatest of each feature, and their probabilities. They are the rows of no user."""
    chosen = np.quantile(rows, np.linspace(0.0, 1.0, _VECTORS), axis=0)
    probabilities, _ = run(file, chosen)
    return {"rows": chosen.tolist(), "probabilities": probabilities.tolist()}
