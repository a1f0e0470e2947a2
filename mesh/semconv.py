"""Names of spans, attributes and metrics: every name that leaves a process stands here, once.

Names follow OpenTelemetry's conventions where there is one. A user's id is never an attribute of a metric.
"""

from typing import Final

SERVICE_PREFIX: Final = "journeymesh-"

# Spans.
SPAN_DISPATCH: Final = "dispatch batch"
SPAN_COALESCE: Final = "coalesce events"
SPAN_DECIDE: Final = "decide intervention"

# Attributes of spans.
EVENT_COUNT: Final = "journeymesh.event.count"
RECORD_COUNT: Final = "messaging.batch.message_count"
STREAM: Final = "messaging.destination.name"
SHARD: Final = "messaging.destination.partition.id"
DECISION_ID: Final = "journeymesh.decision.id"
INTERVENTION_ID: Final = "journeymesh.intervention.id"
RISK_SCORE: Final = "journeymesh.risk.score"

# Metrics.
METRIC_EVENTS: Final = "journeymesh_events"
METRIC_REQUESTS: Final = "journeymesh_http_requests"
METRIC_REQUEST_SECONDS: Final = "journeymesh_http_request_duration_seconds"
METRIC_LAG_SECONDS: Final = "journeymesh_lag_seconds"
METRIC_TROUBLE: Final = "journeymesh_trouble"

# Attributes of metrics.
VERDICT: Final = "verdict"
ROUTE: Final = "http_route"
METHOD: Final = "http_request_method"
STATUS: Final = "http_response_status_code"
READER: Final = "reader"
SHARD_LABEL: Final = "shard"
