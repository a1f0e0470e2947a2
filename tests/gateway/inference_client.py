"""A published REST client of the Open Inference Protocol, used as its manual says; prints what it got, as JSON.

It runs in a process of its own: it replaces parts of the event loop.
"""

import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton


class Key(triton.InferenceServerClientPlugin):  # type: ignore[misc]
    """What the client's manual calls a plugin: sends a key with every request."""

    def __init__(self, text: str) -> None:
        self._headers = {"authorization": f"Bearer {text}"}

    def __call__(self, request: Any) -> None:
        """Adds the key."""
        request.headers.update(self._headers)


def main(address: str, rows: list[list[float]], key: str) -> None:
    """Asks everything that a client can ask, each way of sending and getting values included."""
    client = triton.InferenceServerClient(address)
    if key:
        client.register_plugin(Key(key))
    metadata = client.get_model_metadata("exit-risk")
    version = metadata["versions"][0]
    told = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model": client.is_model_ready("exit-risk", version),
        "other": client.is_model_ready("other"),
        "of_another": client.is_model_ready("exit-risk", "globex-1"),
        "server": client.get_server_metadata()["extensions"],
        "versions": metadata["versions"],
        "inputs": metadata["inputs"],
        "risks": [
            infer(client, rows, kind, is_sent=is_sent, is_got=is_got)
            for kind in (np.float64, np.float32)
            for is_sent in (True, False)
            for is_got in (True, False)
        ],
        "packed": infer(client, rows, np.float64, request_compression_algorithm="gzip"),
        "all": len(client.infer("exit-risk", [given(rows, np.float64)]).as_numpy("terms")[0]),
    }
    try:
        infer(client, [rows[0][:3]], np.float64)
    except triton.InferenceServerException as error:
        told["refused"] = error.message()
    print(json.dumps(told))  # noqa: T201


def given(rows: list[list[float]], kind: type, *, is_binary: bool = True) -> triton.InferInput:
    """The rows as an input."""
    values: Any = np.array(rows, kind)
    tensor = triton.InferInput("features", list(values.shape), "FP64" if kind is np.float64 else "FP32")
    return tensor.set_data_from_numpy(values, binary_data=is_binary)


def infer(
    client: triton.InferenceServerClient,
    rows: list[list[float]],
    kind: type,
    *,
    is_sent: bool = True,
    is_got: bool = True,
    **how: str,
) -> list[float]:
    """The probabilities, sent and got in binary or not."""
    wanted = [triton.InferRequestedOutput("probability", binary_data=is_got)]
    answer = client.infer("exit-risk", [given(rows, kind, is_binary=is_sent)], outputs=wanted, request_id="7", **how)
    if answer.get_response()["id"] != "7":
        sys.exit("The id was not that of the request.")
    return [float(each) for each in answer.as_numpy("probability")]


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
