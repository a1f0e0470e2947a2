"""Alerts: whether models still mean what they say, get what they were trained on, and are learnt again."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import HOUR, Alert, Severity
from monitoring.promql import Vector, gauge, grown, largest, smallest, summed


def alerts() -> tuple[Alert, ...]:
    """The alerts of this group. They look at weeks, so no window of theirs is scaled."""
    error = largest(gauge(registry.CALIBRATION_ERROR), "namespace", "version")
    outcomes = largest(gauge(registry.KNOWN_OUTCOMES), "namespace", "version")
    failed, done = (
        summed(grown(registry.JOBS, "1d", state=state), "namespace", "kind") for state in ("failed", "done")
    )
    missing = smallest(gauge(registry.EVENT_RATIO), "namespace", "kind")
    return (
        Alert(
            "JourneymeshFeatureDrift",
            Severity.TICKET,
            _drifted("reason"),
            HOUR,
            "What users do has changed in {{ $labels.namespace }}: {{ $labels.of }}, index {{ printf `%.2f` $value }}.",
            "The points that this reason gives to scores are distributed otherwise than in the week before, and move "
            "the score by a point or more on average. Users behave differently, or clients send something else.",
            (
                "`POST /api/analytics/drift`, or the dashboard's Model page: what moved, and did decisions move too?",
                "Was a client released? Dashboard “Model”, “Events against the week before”.",
                "If users changed: train on the archive ([training.md](training.md)) and try the model as a shadow.",
            ),
        ),
        Alert(
            "JourneymeshScoreDrift",
            Severity.TICKET,
            _drifted("score"),
            HOUR,
            "The score of {{ $labels.of }} has moved in {{ $labels.namespace }}: index {{ printf `%.2f` $value }}.",
            "More or fewer users get help than in the week before, by the same model.",
            (
                "`POST /api/analytics/drift` names the reasons that moved furthest.",
                "Nothing moved but the score: were the rules or the model's stages changed? `journeymesh model list`.",
            ),
        ),
        Alert(
            "JourneymeshModelUncalibrated",
            Severity.TICKET,
            error.by_number(">", limits.CALIBRATION_ERROR).where(
                outcomes.by_number(">=", limits.KNOWN_OUTCOMES), "namespace", "version"
            ),
            HOUR,
            "{{ $labels.version }} is {{ $value | humanizePercentage }} off in {{ $labels.namespace }}.",
            "In the last week whose outcomes are known, other shares of users left than the model said.",
            (
                "`POST /api/analytics/calibration` shows since when, and at which probabilities.",
                "Train on the archive: that recalibrates, if it is no worse ([training.md](training.md)).",
            ),
        ),
        Alert(
            "JourneymeshJobsFail",
            Severity.TICKET,
            failed.by_number(">", 0).unless(done.by_number(">", 0)),
            HOUR,
            "A job {{ $labels.kind }} has failed in {{ $labels.namespace }}, and none was done since yesterday.",
            "What the job learns or writes is that of days before: forecasts and segments of customers grow old.",
            (
                "`journeymesh jobs list` says why. `JOB_TOO_LARGE`: raise `JOURNEYMESH_JOB_MEMORY_MIB`.",
                "`JOB_TOO_LARGE` of a training: raise `JOURNEYMESH_TRAINING_MEMORY_MIB`.",
                "`JOB_PROCESS_DIED`: was analytics ended for want of memory? `kubectl describe pod`.",
                "`NOTHING_TO_LEARN`: is the key of the tenant whose customers buy? A model needs more outcomes first.",
            ),
        ),
        Alert(
            "JourneymeshEventsMissing",
            Severity.TICKET,
            missing.by_number("<", limits.LOST_EVENTS_RATIO),
            HOUR,
            "Only {{ $value | humanizePercentage }} of {{ $labels.kind }} come in {{ $labels.namespace }}.",
            "A kind of event that came in the week before has nearly ceased. What features and rules count of it is "
            "missing, so risk is told too low.",
            (
                "Was a client released, or a page taken off? Did the name of the kind change?",
                "Are they refused? Dashboard “Overview”, “Events rejected by reason”.",
            ),
        ),
    )


def _drifted(kind: str) -> Vector:
    index = largest(gauge(registry.DRIFT_INDEX, kind=kind), "namespace", "of")
    points = largest(gauge(registry.DRIFT_POINTS, kind=kind), "namespace", "of")
    return index.by_number(">", limits.DRIFT_INDEX).where(
        points.by_number(">=", limits.DRIFT_POINTS), "namespace", "of"
    )
