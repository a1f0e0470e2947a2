"""How experiments are configured: asked of the experiments service, and kept in Redis for a day."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import grpc
import msgspec
from google.protobuf.message import DecodeError
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub

from comparison.assignment import SIGNED_AS, Arm
from mesh.clock import Clock
from mesh.errors import MeshError
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.settings import SettingError
from mesh.store import redis
from services.intervention.policy.domain.arms import Configured

if TYPE_CHECKING:  # this name stands in the stubs only
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

KEPT: Final = "jm:intervention:policy-experiment"
"""The key of the last answer about the experiment that compares policies."""
KEPT_OF_ALL: Final = "jm:intervention:scoring-experiment"
"""Likewise of all that intervention takes part in; at first it was only the one that judges scoring models."""
_KEPT_SECONDS: Final = 86_400
_SECONDS: Final = 1.0
_SECOND_US: Final = 1_000_000
_VERSION: Final = 1
_log = logging.getLogger(__name__)


class _SaidArm(msgspec.Struct):
    name: str
    weight: int
    value: str


class _SaidExperiment(msgspec.Struct, rename="camel"):
    id: str
    salt: str
    arms: Annotated[list[_SaidArm], msgspec.Meta(min_length=1)]
    percent: float
    holdout_percent: float
    promoted: str
    state: str = ""
    changed_at: int = 0
    outcomes: tuple[str, ...] | None = None

    def configured(self) -> Configured:
        """In the words of the domain."""
        arms = tuple(Arm(arm.name, arm.weight, arm.value) for arm in self.arms)
        return Configured(
            self.id,
            self.salt,
            arms,
            self.percent,
            self.holdout_percent,
            self.promoted,
            self.state,
            self.changed_at,
            self.outcomes,
        )


class _Said(msgspec.Struct, rename="camel"):
    version: int
    tenant: str
    issued_at: int
    experiments: list[_SaidExperiment]


_DECODE: Final = msgspec.json.Decoder(_Said).decode


class NoConfigurations:
    """No experiment."""

    async def read(self) -> Mapping[str, Sequence[Configured]]:
        """See `services.intervention.policy.ports.Configurations`."""
        return {}


class MeshConfigurations:
    """Asks over a channel that the caller opens and closes.

    Args:
        channel: to the experiments service.
        client: where the last answer is kept, for all replicas.
        metrics: counts the answers that are refused, each time they are read.
        experiment_ids: the experiments.
        clock: refuses what was issued more than a day ago.
        public_key: what answers must be signed by, 64 hexadecimal digits; empty: they need not be signed.
        kept: the key under which the last answer is kept.

    Raises:
        SettingError: the key is none.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        client: redis.Client,
        metrics: Metrics,
        experiment_ids: Sequence[str],
        clock: Clock,
        public_key: str = "",
        kept: str = KEPT,
    ) -> None:
        self._stub: "ExperimentsServiceAsyncStub" = ExperimentsServiceStub(channel)
        self._client = client
        self._metrics = metrics
        self._metrics.count(registry.CONFIGURATIONS_REFUSED, 0)
        self._experiment_ids = experiment_ids
        self._named = ", ".join(experiment_ids)
        self._clock = clock
        self._verify = verifier(public_key)
        self._kept_under = kept
        self._is_away = False

    async def read(self) -> Mapping[str, Sequence[Configured]]:
        """See `services.intervention.policy.ports.Configurations`."""
        asked = wire.GetConfigurationsRequest(experiment_ids=self._experiment_ids)
        try:
            answer = (await self._stub.GetConfigurations(asked, timeout=_SECONDS)).SerializeToString()
            found = self._accepted(answer)
        except (MeshError, ValueError) as error:
            if not self._is_away:
                _log.warning("%s compares as it did last, for a day at most: %s", self._named, error)
            self._is_away = True
            return await self._kept()
        self._is_away = False
        with redis.translating_errors():
            await self._client.set(self._kept_under, answer, ex=_KEPT_SECONDS)
        return found

    async def _kept(self) -> Mapping[str, Sequence[Configured]]:
        with redis.translating_errors():
            kept = cast("bytes | None", await self._client.get(self._kept_under))
        try:
            return self._accepted(kept) if kept else {}
        except ValueError as error:
            _log.error("%s compares nothing: %s", self._named, error)
            return {}

    def _accepted(self, answer: bytes) -> Mapping[str, Sequence[Configured]]:
        """See `_configured`; counts an answer that is refused.

        Raises:
            ValueError: it is refused, or is no answer.
        """
        try:
            return self._configured(wire.GetConfigurationsResponse.FromString(answer))
        except (ValueError, DecodeError) as error:
            self._metrics.count(registry.CONFIGURATIONS_REFUSED)
            raise ValueError(str(error)) from error

    def _configured(self, answer: wire.GetConfigurationsResponse) -> Mapping[str, Sequence[Configured]]:
        """The experiments by tenant.

        Raises:
            ValueError: it is not signed by the key that is trusted, of another version, older than a day, or says
                something else.
        """
        found = dict[str, Sequence[Configured]]()
        for each in answer.configurations:
            self._verify(each.payload, each.signature)
            said = _DECODE(each.payload)
            if said.version != _VERSION or said.tenant != each.tenant:
                message = "A configuration is of another version or tenant."
                raise ValueError(message)
            if self._clock() - said.issued_at * _SECOND_US > _KEPT_SECONDS * _SECOND_US:
                message = "A configuration is older than a day."
                raise ValueError(message)
            asked = [one.configured() for one in said.experiments if one.id in self._experiment_ids]
            if asked:
                found[each.tenant] = asked
        return found


def verifier(public_key: str) -> Any:  # noqa: ANN401 - a function of payload and signature
    """Checks a signature, and raises `ValueError` where it is wrong; without a key everything is right.

    Raises:
        SettingError: the key is none.
    """
    if not public_key:
        return lambda _payload, _signature: None
    from cryptography.exceptions import InvalidSignature  # takes 10 MB that few need
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    except ValueError as error:
        raise SettingError("JOURNEYMESH_EXPERIMENTS_PUBLIC_KEY must be 64 hexadecimal digits.") from error

    def verify(payload: bytes, signature: bytes) -> None:
        try:
            key.verify(signature, SIGNED_AS + payload)
        except InvalidSignature:
            message = "A configuration is not signed by the key that is trusted."
            raise ValueError(message) from None

    return verify
