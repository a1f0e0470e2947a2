"""From when on something is wrong: alerts go by it, and dashboards draw it."""

from typing import Final

SLOW_DECISION_SECONDS: Final = 1.0
HIGH_LAG_SECONDS: Final = 5.0
"""As `JOURNEYMESH_MAX_LAG_SECONDS` has it by default: beyond it ingest refuses events."""
REFUSED_SHARE: Final = 0.05
ERROR_SHARE: Final = 0.01
REJECTED_SHARE: Final = 0.1
FULL_STORE_SHARE: Final = 0.85
LATE_ARCHIVE_SECONDS: Final = 15 * 60.0
FAILED_DELIVERY_SHARE: Final = 0.2
FAILED_DELIVERIES: Final = 5
"""Fewer say nothing of a channel."""
OLD_OUTBOX_SECONDS: Final = 5 * 60.0
SPENT_BUDGET_SHARE: Final = 0.9
CERTIFICATE_SECONDS: Final = 14 * 24 * 3600.0

NOT_OF_CLIENTS: Final = "/healthz|/startupz|/readyz|/metrics"
"""Routes that clients do not ask."""
OVERLOADED: Final = "429|503"
"""Answers that ask a client to come again."""
BROKEN: Final = "5[0-9][0-24-9]"
"""Answers that should never be."""
