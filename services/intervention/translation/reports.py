"""Wire messages about the service as a whole: policies, lift, analyses, use of models, erasure, export."""

from collections.abc import Mapping, Sequence

from journeymesh.common.v1 import erasure_pb2
from journeymesh.intervention.v1 import intervention_pb2 as wire

from mesh.rpc.timestamps import timestamp
from mesh.state.exporting import Record
from records.tenants import DEFAULT
from services.intervention.language.domain.analysis import Analysis
from services.intervention.language.domain.budget import NANO_A_MICRO
from services.intervention.language.usecases.models import ModelsUsage
from services.intervention.language.usecases.prompts import ListedPrompts
from services.intervention.policy.usecases import Policies
from services.intervention.reading import Lifts


def policies_message(of: Policies, tenant: str) -> wire.ListPoliciesResponse:
    """The policies of a tenant, newest first; for the default one those of the mesh and of all tenants."""
    of_tenants = [each for each in of.of_tenants.items() if tenant in {each[0], DEFAULT}]
    timelines = [timeline for _, timeline in of_tenants] if tenant else [of.timeline, *(each for _, each in of_tenants)]
    dated = [(each, timeline.find(each.version)) for timeline in timelines for each in timeline.dated]
    return wire.ListPoliciesResponse(
        policies=[
            wire.PolicyVersion(
                version=each.version,
                start_time=timestamp(each.start_us),
                document=each.document,
                tenant=each.tenant,
                experiment_id=policy.experiment.id if policy and policy.experiment else "",
            )
            for each, policy in sorted(dated, key=lambda each: each[0].start_us, reverse=True)
        ],
        trouble=of.trouble(tenant),
    )


def prompts_message(of: ListedPrompts) -> wire.ListPromptsResponse:
    """The prompts that word help, and what is wrong with documents."""
    return wire.ListPromptsResponse(
        prompts=[
            wire.PromptVersion(
                version=each.prompt.version,
                hash=each.prompt.hash,
                text=each.prompt.text,
                most_tokens=each.prompt.most_tokens,
                asks_confidence=each.prompt.asks_confidence,
                names=each.names,
                is_in_force=each.is_in_force,
                first_use_time=timestamp(each.first_us) if each.first_us else None,
            )
            for each in of.prompts
        ],
        troubles=[wire.PromptTrouble(name=name, why=why) for name, why in of.troubles.items()],
        experiment_id=of.experiment_id,
    )


def erased_message(kept: Mapping[str, int]) -> wire.EraseUserResponse:
    """What is kept of a person, by store."""
    stores = [erasure_pb2.PersonalEntries(store=store, count=count) for store, count in kept.items()]
    return wire.EraseUserResponse(stores=stores)


def exported_message(records: Sequence[Record]) -> wire.ExportUserResponse:
    """All that is kept of a person."""
    return wire.ExportUserResponse(
        records=[erasure_pb2.PersonalRecord(store=each.store, json=each.json) for each in records]
    )


def lift_message(of: Lifts) -> wire.GetLiftResponse:
    """What help changed."""
    return wire.GetLiftResponse(
        experiment=of.experiment,
        lifts=[
            wire.Lift(
                dimension=dimension,
                name=name,
                treated_count=counts.treated,
                treated_conversion_count=counts.treated_converted,
                holdout_count=counts.holdout,
                holdout_conversion_count=counts.holdout_converted,
                lift=estimate.lift,
                lower=estimate.lower,
                upper=estimate.upper,
                is_known=estimate.is_known,
            )
            for dimension, name, counts, estimate in of.estimates
        ],
        sample_ratio_p_value=of.sample_ratio_p_value,
        holdout_ratio=of.holdout_share,
    )


def analysis_message(of: Analysis) -> wire.AnalyzeUserResponse:
    """What stands out about a user."""
    return wire.AnalyzeUserResponse(
        user_id=of.user_id,
        exit_risk_score=of.findings.exit_risk_score,
        engagement_level=of.findings.engagement_level,
        recommended_actions=of.findings.recommended_actions,
        key_insights=of.findings.key_insights,
        source=of.source,
        refusal=of.refusal,
        usage=_usage(of),
        tool_calls=of.tool_calls,
    )


def usage_message(of: ModelsUsage, waiting_count: int, tenant: str) -> wire.GetModelUsageResponse:
    """What language models were asked, and what it cost; for a tenant only what its budget has paid."""
    told = wire.GetModelUsageResponse(
        is_on=of.is_on,
        degraded=of.degraded,
        period_start_time=timestamp(of.period_start_us),
        token_count=of.spent.tokens,
        token_limit=of.limits.tokens,
        cost_micro_usd=of.spent.nano_usd / NANO_A_MICRO,
        cost_limit_micro_usd=of.limits.nano_usd / NANO_A_MICRO,
        days=[
            wire.ModelSpendingDay(
                start_time=timestamp(each.start_us),
                token_count=each.spent.tokens,
                cost_micro_usd=each.spent.nano_usd / NANO_A_MICRO,
            )
            for each in of.days
        ],
    )
    if tenant:
        return told
    told.waiting_count = waiting_count
    told.models.extend(
        wire.ModelUsage(
            model_id=each.model_id,
            call_counts=each.call_counts,
            input_token_count=each.input_tokens,
            output_token_count=each.output_tokens,
            cost_micro_usd=each.cost_micro_usd,
            is_cost_unknown=not each.has_price,
        )
        for each in of.models
    )
    told.prompts.extend(
        wire.PromptUsage(
            prompt_version=each.version,
            ending_counts=each.call_counts,
            input_token_count=each.input_tokens,
            output_token_count=each.output_tokens,
            cost_micro_usd=each.cost_micro_usd,
        )
        for each in of.prompts
    )
    return told


def _usage(of: Analysis) -> wire.Wording | None:
    if of.usage is None or of.prompt is None:
        return None
    return wire.Wording(
        model_id=of.usage.model_id,
        prompt_version=of.prompt.version,
        prompt_hash=of.prompt.hash,
        is_used=not of.refusal,
        refusal=of.refusal,
        input_tokens=of.usage.input_tokens,
        output_tokens=of.usage.output_tokens,
        cost_micro_usd=of.usage.cost_micro_usd,
        worded_time=timestamp(of.analyzed_us),
    )
