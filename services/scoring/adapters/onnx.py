"""A model in ONNX, run by onnxruntime on one thread.

The file's input is `features` (float64, rows by features), its outputs are `probability` and `terms`;
`offline.training.additive` writes it.
"""

from typing import Final

import numpy as np
import onnxruntime

from services.scoring.ports import Card, Matrix, Prediction

# The runtime's vector loops process leftover rows by another code path, which may round differently. With whole vectors
# only, a row's result does not depend on its place in the batch.
_ROWS_TOGETHER: Final = 16


class OnnxModel:
    """See `services.scoring.ports.Model`."""

    def __init__(self, file: bytes, card: Card) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.card = card

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        count = len(rows)
        padded = np.zeros((-count % _ROWS_TOGETHER + count, rows.shape[1]))
        padded[:count] = rows
        probabilities, terms = self._session.run(["probability", "terms"], {"features": padded})
        return Prediction(probabilities[:count].tolist(), terms[:count].astype("<f4").tobytes())
