"""A published client of the Open Inference Protocol, used as its manual says; prints what it got, as JSON.

It runs in a process of its own: it brings its own copy of the protocol's messages.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton


def main(address: str, rows: list[list[float]]) -> None:
    """Asks everything that a client can ask."""
    client = triton.InferenceServerClient(address)
    (first, *_), metadata = rows, client.get_model_metadata("exit-risk", as_json=True)
    told = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model": client.is_model_ready("exit-risk"),
        "other": client.is_model_ready("other"),
        "server": client.get_server_metadata().name,
        "versions": metadata["versions"],
        "inputs": metadata["inputs"],
        "batch": infer(client, rows, "FP64"),
        "single": infer(client, [first], "FP64"),
        "narrow": infer(client, [first], "FP32"),
    }
    try:
        infer(client, [first[:3]], "FP64")
    except triton.InferenceServerException as error:
        told["refused"] = error.message()
    print(json.dumps(told))  # noqa: T201


def infer(client: triton.InferenceServerClient, rows: list[list[float]], datatype: str) -> list[list[float]]:
    """Probabilities, and the sums of terms as probabilities."""
    values = np.array(rows, np.float64 if datatype == "FP64" else np.float32)
    given = triton.InferInput("features", list(values.shape), datatype)
    given.set_data_from_numpy(values)
    answer = client.infer("exit-risk", [given])
    logits = answer.as_numpy("terms").astype(float).sum(axis=1)
    return [answer.as_numpy("probability").tolist(), (1 / (1 + np.exp(-logits))).tolist()]


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
