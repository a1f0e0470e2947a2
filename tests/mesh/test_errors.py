"""Errors over the wire and back, as a peer's caller sees them."""

from typing import Any

import grpc
import pytest

from mesh import errors
from mesh.errors import AlreadyApplied, Damaged, FailedPrecondition, TooLarge, Unavailable


def over_the_wire(error: errors.MeshError) -> errors.MeshError:
    status = errors.to_status(error)
    trailers: Any = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return errors.from_rpc_error(grpc.aio.AioRpcError(error.code, grpc.aio.Metadata(), trailers, status.message))


@pytest.mark.parametrize("through", [0, 7, 10**55])
def test_how_far_a_shard_was_applied_comes_back(through: int) -> None:
    decoded = over_the_wire(AlreadyApplied("Before.", through))
    assert isinstance(decoded, AlreadyApplied)
    assert (decoded.through, decoded.reason, decoded.detail) == (through, "POSITION_STALE", "Before.")


def test_a_refusal_without_a_position_keeps_its_type() -> None:
    decoded = over_the_wire(FailedPrecondition("POSITION_STALE", "Lost."))
    assert type(decoded) is FailedPrecondition


def test_to_callers_what_is_damaged_is_nothing_that_passes() -> None:
    damaged = Damaged("The list")
    assert isinstance(damaged, Unavailable)  # to loops of the process that reads it
    decoded = over_the_wire(damaged)
    assert not isinstance(decoded, Unavailable)
    assert (decoded.reason, decoded.detail) == ("INTERNAL", "The list cannot be read: what is stored is damaged.")


@pytest.mark.parametrize(
    "words",
    [
        "CLIENT: Received message larger than max (33554440 vs. 33554432)",
        "SERVER: Received message larger than max (33554440 vs. 33554432)",
        "CLIENT: Sent message larger than max (33554440 vs. 33554432)",
    ],
)
def test_a_message_that_is_too_large_does_not_pass_by_itself(words: str) -> None:
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(), details=words
    )
    assert isinstance(errors.from_rpc_error(error), TooLarge)


def test_too_many_calls_at_once_pass() -> None:
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(), details="Concurrent RPC limit."
    )
    assert isinstance(errors.from_rpc_error(error), Unavailable)
