"""Writes a gRPC request for both sides: `exit_risk_request.py <rows as JSON> <file>`. Run in MLServer's environment."""

import json
import sys
from pathlib import Path

from mlserver.grpc.dataplane_pb2 import InferTensorContents, ModelInferRequest


def main() -> None:
    """Writes the request."""
    rows, path = json.loads(sys.argv[1]), Path(sys.argv[2])
    tensor = ModelInferRequest.InferInputTensor(
        name="features",
        datatype="FP64",
        shape=[len(rows), len(rows[0])],
        contents=InferTensorContents(fp64_contents=[value for row in rows for value in row]),
    )
    wanted = ModelInferRequest.InferRequestedOutputTensor(name="probability")
    request = ModelInferRequest(model_name="exit-risk", inputs=[tensor], outputs=[wanted])
    path.write_bytes(request.SerializeToString())


if __name__ == "__main__":
    main()
