"""Names of spans, attributes and metrics: every name that leaves a process stands here, once.

Names follow OpenTelemetry's conventions where there is one. A user's id is never an attribute of a metric.
"""

from typing import Final

SERVICE_PREFIX: Final = "journeymesh-"

# Spans.
SPAN_DISPATCH: Final = "dispatch batch"
SPAN_COALESCE: Final = "coalesce events"
SPAN_DECIDE: Final = "decide intervention"
SPAN_HEAR: Final = "hear outcome"

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

# Metrics of language models, and their attributes.
METRIC_MODEL_TOKENS: Final = "journeymesh_model_tokens"
METRIC_MODEL_COST: Final = "journeymesh_model_cost_usd"
METRIC_MODEL_CALLS: Final = "journeymesh_model_calls"
METRIC_MODEL_DEGRADED: Final = "journeymesh_model_degraded"
MODEL: Final = "model"
DIRECTION: Final = "direction"
ENDING: Final = "ending"
DEGRADATION: Final = "reason"

# Language models: OpenTelemetry's conventions for generative AI. A call's span is named by operation and model.
AI_CHAT: Final = "chat"
AI_BEDROCK: Final = "aws.bedrock"
AI_OPERATION: Final = "gen_ai.operation.name"
AI_PROVIDER: Final = "gen_ai.provider.name"
AI_MODEL: Final = "gen_ai.request.model"
AI_MOST_TOKENS: Final = "gen_ai.request.max_tokens"
AI_PROMPT: Final = "gen_ai.prompt.name"
AI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
AI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
AI_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
AI_COST_MICRO_USD: Final = "journeymesh.model.cost_micro_usd"
ERROR_TYPE: Final = "error.type"
