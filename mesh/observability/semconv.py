"""Names of spans and their attributes, each once; those of metrics are in `mesh/observability/registry.py`.

They follow OpenTelemetry's conventions where there is one.
"""

from typing import Final

SERVICE_PREFIX: Final = "journeymesh-"

# Spans.
SPAN_DISPATCH: Final = "dispatch batch"
SPAN_COALESCE: Final = "coalesce events"
SPAN_DECIDE: Final = "decide intervention"
SPAN_HEAR: Final = "hear outcome"
SPAN_OUTCOME: Final = "settle intervention"
SPAN_JOB: Final = "run job"
SPAN_SEND: Final = "send"  # and the channel

# Attributes of spans.
EVENT_COUNT: Final = "journeymesh.event.count"
RECORD_COUNT: Final = "messaging.batch.message_count"
STREAM: Final = "messaging.destination.name"
SHARD: Final = "messaging.destination.partition.id"
DECISION_ID: Final = "journeymesh.decision.id"
INTERVENTION_ID: Final = "journeymesh.intervention.id"
RISK_SCORE: Final = "journeymesh.risk.score"
OUTCOME: Final = "journeymesh.outcome"
ATTEMPT: Final = "journeymesh.delivery.attempt"
JOB_ID: Final = "journeymesh.job.id"
JOB_KIND: Final = "journeymesh.job.kind"
JOB_ATTEMPT: Final = "journeymesh.job.attempt"
JOB_STATE: Final = "journeymesh.job.state"
PROVIDER: Final = "messaging.system"
CHANNEL: Final = "messaging.destination.name"
OPERATION: Final = "messaging.operation.type"

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
