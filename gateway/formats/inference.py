"""The Open Inference Protocol over REST: its JSON, and the binary tensors that may follow it, as messages of scoring.

The names are the protocol's own (github.com/kserve/open-inference-protocol), and so are those of the extension for
binary tensors: a body whose header `Inference-Header-Content-Length` gives the length of its JSON holds, after that
JSON, the values of the tensors that have the parameter `binary_data_size`, in the tensors' order, little-endian.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from inference import inference_pb2 as wire

from gateway.formats.json.refusal import decoded
from mesh.errors import InvalidArgument

EXAMPLE: Final = (
    '{"inputs":[{"name":"features","datatype":"FP64","shape":[1,13],"data":[3,2,0,240,1,0,0,0.5,40,60,2,5,30]}]}'
)
EXTENSION: Final = "binary_tensor_data"
"""The extension that the gateway adds to what scoring speaks."""

_SIZE: Final = "binary_data_size"
# How a value of a type that answers have is packed.
_PACKED: Final = {"FP64": "d", "FP32": "f"}
_MOST: Final = 2**31

_Parameters = dict[str, bool | int | float | str]
_Dimension = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]


class GivenTensor(msgspec.Struct, kw_only=True):
    """An input. `data` holds its values by rows, flat or one list per row; none if they follow in binary."""

    name: str
    datatype: str
    shape: list[_Dimension]
    parameters: _Parameters = msgspec.field(default_factory=dict)
    data: list[float | list[float]] = msgspec.field(default_factory=list)


class WantedTensor(msgspec.Struct, kw_only=True):
    """An output to give; with the parameter `binary_data`, in binary or not."""

    name: str
    parameters: _Parameters = msgspec.field(default_factory=dict)


class InferenceRequest(msgspec.Struct, kw_only=True):
    """What to run a model with. Without `outputs` all are given; `binary_data_output` asks for them in binary."""

    id: str = ""
    parameters: _Parameters = msgspec.field(default_factory=dict)
    inputs: list[GivenTensor]
    outputs: list[WantedTensor] = msgspec.field(default_factory=list)


class GotTensor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An output. `data` holds its values by rows, flat; none if they follow in binary."""

    name: str
    datatype: str
    shape: list[int]
    parameters: _Parameters = msgspec.field(default_factory=dict)
    data: list[float] | msgspec.UnsetType = msgspec.UNSET


class InferenceAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a model gave; `id` is the request's."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[GotTensor]


class TensorMetadata(msgspec.Struct):
    """A tensor that a model takes or gives; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]


class InferenceModel(msgspec.Struct):
    """What a model takes and gives, and its versions that serve."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InferenceServer(msgspec.Struct):
    """What serves the models."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct):
    """That the server lives."""

    live: bool


class Ready(msgspec.Struct):
    """That there is a model to serve."""

    ready: bool


class ModelReady(msgspec.Struct):
    """That a version of a model serves."""

    name: str
    ready: bool


class Asked(NamedTuple):
    """A request to scoring, and the outputs to give in binary; `is_binary` is for those that are not named."""

    message: wire.ModelInferRequest
    is_binary: bool
    named: Mapping[str, bool]


def asked(body: bytes, json_size: str, model: str, version: str) -> Asked:
    """The request in a body; `json_size` is the length of its JSON as sent, empty if nothing follows the JSON.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, the length is none; `MALFORMED_JSON`; `INVALID_TYPE`, the JSON is no
            request, or its binary tensors are longer or shorter than it says.
    """
    if json_size and not (json_size.isascii() and json_size.isdigit() and int(json_size[:9]) <= len(body)):
        raise InvalidArgument("INVALID_PARAMETER", "`Inference-Header-Content-Length` is no length within the body.")
    split = int(json_size) if json_size else len(body)
    request = decoded(body[:split], InferenceRequest, EXAMPLE)
    message = wire.ModelInferRequest(model_name=model, model_version=version, id=request.id)
    packed = memoryview(body)[split:]
    for tensor in request.inputs:
        packed = packed[_add(tensor, packed, message) :]
    if packed:
        raise InvalidArgument("INVALID_TYPE", "More bytes follow the JSON than its tensors have.")
    message.outputs.extend(
        wire.ModelInferRequest.InferRequestedOutputTensor(name=each.name) for each in request.outputs
    )
    return Asked(
        message,
        request.parameters.get("binary_data_output") is True,
        {
            each.name: bool(each.parameters["binary_data"])
            for each in request.outputs
            if "binary_data" in each.parameters
        },
    )


def _add(tensor: GivenTensor, packed: memoryview, message: wire.ModelInferRequest) -> int:
    """Adds an input to the request, and returns how many of the packed bytes are its own."""
    given = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    size = tensor.parameters.get(_SIZE)
    if size is None:
        values = [*_flat(tensor.data)]
        contents = given.contents
        (contents.fp32_contents if tensor.datatype == "FP32" else contents.fp64_contents).extend(values)
        return 0
    if not (type(size) is int and 0 <= size <= len(packed)):
        raise InvalidArgument("INVALID_TYPE", f"`{_SIZE}` is no length within the bytes that follow the JSON.")
    message.raw_input_contents.append(bytes(packed[:size]))
    return size


def _flat(data: Sequence[float | list[float]]) -> list[float]:
    return [value for each in data for value in (each if isinstance(each, list) else (each,))]


def answered(answer: wire.ModelInferResponse, request: Asked) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON; None if nothing follows the JSON."""
    tensors, packed = [], []
    for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
        got = GotTensor(name=tensor.name, datatype=tensor.datatype, shape=[*tensor.shape])
        if request.named.get(tensor.name, request.is_binary):
            got.parameters = {_SIZE: len(raw)}
            packed.append(raw)
        else:
            kind = _PACKED[tensor.datatype]
            got.data = [*struct.unpack(f"<{len(raw) // struct.calcsize(kind)}{kind}", raw)]
        tensors.append(got)
    told = InferenceAnswer(
        model_name=answer.model_name, model_version=answer.model_version, id=answer.id, outputs=tensors
    )
    written = msgspec.json.encode(told)
    return b"".join((written, *packed)), len(written) if packed else None


def described(found: wire.ModelMetadataResponse) -> InferenceModel:
    """A model's metadata."""

    def tensors(of: Any) -> list[TensorMetadata]:  # noqa: ANN401 - a repeated field has no type of its own
        return [TensorMetadata(each.name, each.datatype, [*each.shape]) for each in of]

    return InferenceModel(found.name, [*found.versions], found.platform, tensors(found.inputs), tensors(found.outputs))
