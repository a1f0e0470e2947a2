"""Thresholds that alerts use and dashboards draw."""

from typing import Final

SLOW_DECISION_SECONDS: Final = 1.0
HIGH_LAG_SECONDS: Final = 5.0
"""The default of `JOURNEYMESH_MAX_LAG_SECONDS`: beyond it ingest refuses events."""
REFUSED_SHARE: Final = 0.05
ERROR_SHARE: Final = 0.01
REJECTED_SHARE: Final = 0.1
FULL_STORE_SHARE: Final = 0.85
LATE_ARCHIVE_SECONDS: Final = 15 * 60.0
FAILED_DELIVERY_SHARE: Final = 0.2
FAILED_DELIVERIES: Final = 5
"""Fewer failures say nothing about a channel."""
OLD_OUTBOX_SECONDS: Final = 5 * 60.0
DRIFT_INDEX: Final = 0.25
"""From here on a distribution is commonly held to have changed."""
DRIFT_POINTS: Final = 1.0
"""What moves the score by less changes no decision."""
CALIBRATION_ERROR: Final = 0.05
KNOWN_OUTCOMES: Final = 300
"""Of fewer, chance alone makes such an error."""
LOST_EVENTS_RATIO: Final = 0.1
SPENT_BUDGET_SHARE: Final = 0.9
LATE_WATCH_SECONDS: Final = 3600.0
"""An hour is complete at its end, and judged within a quarter of an hour."""
CERTIFICATE_SECONDS: Final = 14 * 24 * 3600.0

NOT_OF_CLIENTS: Final = "/healthz|/startupz|/readyz|/metrics"
"""Routes that are not for clients."""
OVERLOADED: Final = "429|503"
"""Status codes that ask clients to retry."""
BROKEN: Final = "5[0-9][0-24-9]"
"""Status codes of server errors."""
