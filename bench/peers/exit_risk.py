"""The exit-risk model behind MLServer, one thread as in the mesh. Run by MLServer."""

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class ExitRisk(MLModel):  # type: ignore[misc] # MLServer stands in another environment
    """Answers `probability`, a row per row of `features`."""

    async def load(self) -> bool:
        """Reads the model's file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Scores the rows."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        (probability,) = self._session.run(["probability"], {"features": rows})
        output = NumpyCodec.encode_output("probability", np.asarray(probability))
        return InferenceResponse(model_name=self.name, outputs=[output])
