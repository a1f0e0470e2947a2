"""Translates results into messages."""

from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2

from mesh.rpc.timestamps import timestamp
from services.features.domain import history, money
from services.features.domain.event import Carried, Platform
from services.features.domain.own import Columns
from services.features.domain.settlement import Settled
from services.features.domain.signal import Signal
from services.features.domain.state import State
from services.features.usecases import Derived

_TYPE_PREFIX = len("SIGNAL_TYPE_")
_PLATFORM_NAMES = {Platform.WEB: "web", Platform.MOBILE: "mobile", Platform.BACKEND: "backend"}


def signal_row(row: int, signal: Signal) -> features_pb2.SignalRow:
    """A signal as a message."""
    return features_pb2.SignalRow(
        row=row,
        signal=features_pb2.Signal(
            type=features_pb2.SignalType.ValueType(signal.type),
            strength=signal.strength,
            reason=signal.reason,
            evidence_event_ids=signal.evidence_event_ids,
            detector_version=signal.detector_version,
            signal_time_us=signal.at_us,
            target=signal.target,
            run_start_time_us=signal.run_start_us,
        ),
    )


def settled_row(row: int, settled: Settled) -> features_pb2.SettledRow:
    """A signal that has ended, as a message."""
    return features_pb2.SettledRow(
        row=row,
        type=features_pb2.SignalType.ValueType(settled.type),
        signal_time_us=settled.at_us,
        target=settled.target,
    )


def carried_row(row: int, carried: Carried) -> features_pb2.CarriedRow:
    """Purchases that move to another user, as a message."""
    message = event_pb2.Carried(
        purchase_count=carried.purchase_count, purchase_amounts=_money(carried.purchase_amounts)
    )
    return features_pb2.CarriedRow(row=row, carried=message)


def signal_name(signal: Signal) -> str:
    """The name of a signal's type. Example: `rage_clicks`."""
    return features_pb2.SignalType.Name(features_pb2.SignalType.ValueType(signal.type))[_TYPE_PREFIX:].lower()


def profile(user_id: str, state: State) -> features_pb2.GetProfileResponse:
    """A user's profile as a message."""
    return features_pb2.GetProfileResponse(
        user_id=user_id,
        first_seen_time=seen_time(state.first_us),
        last_seen_time=seen_time(state.last_us),
        event_count=state.event_count,
        session_count=state.session_count,
        purchase_amount=money.total(state),
        purchase_count=state.purchase_count,
        platforms=[name for number, name in _PLATFORM_NAMES.items() if state.platforms >> number & 1],
        time_zone=state.time_zone,
        is_bot=state.is_bot,
        usual_engagement_score=state.usual_engagement,
        last_page=state.last_page,
        purchase_amounts=_money(money.amounts(state)),
    )


def seen_time(at_us: int) -> Timestamp | None:
    """None for never."""
    return timestamp(at_us) if at_us else None


def _money(amounts: Mapping[str, float]) -> list[event_pb2.Money]:
    return [event_pb2.Money(currency=currency, amount=amount) for currency, amount in amounts.items()]


def inputs(derived: Derived, columns: Columns, *, has_history: bool) -> features_pb2.Inputs:
    """History, unless it was left out, and the installation's own columns after the assessed rows."""
    names = (*history.NAMES, *columns.number_names) if has_history else columns.number_names
    version = history.HISTORY_VERSION if has_history else ""
    message = features_pb2.Inputs(history_version=version, names=names, values=derived.past)
    if columns.words:
        place = {"": 0}
        message.cells.extend(place.setdefault(word, len(place)) for word in derived.words)
        message.word_names.extend(columns.words)
        message.words.extend(place)
    return message
