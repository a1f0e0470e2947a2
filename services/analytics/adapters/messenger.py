"""Tells a webhook of incidents; Slack's incoming webhooks understand what is posted."""

import itertools
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from mesh.webhook import Result, Webhook, escaped, rfc3339, slack
from services.analytics.domain.alarms import DueAlarm
from services.analytics.domain.answer import InsightPart, InsightSlice
from services.analytics.domain.digest import Digest
from services.analytics.domain.telling import Due, Sent
from services.analytics.domain.watched import BudgetAlarm, WatchedInsight

_STATES: Final = {
    Result.TAKEN: "sent",
    Result.LATER: "waiting",
    # The receiver knows a repeated message by its key.
    Result.UNKNOWN: "waiting",
    Result.REFUSED: "failed",
}
# Of slices and changes, and characters of each.
_MOST_TOLD: Final = 3
_MOST_LINES: Final = 20
_LONGEST: Final = 81
_ENCODE: Final = msgspec.json.Encoder().encode


class WebhookMessenger:
    """Posts to one address, for all tenants."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook

    async def send(self, tenant: str, due: Due) -> Sent:
        """See `ports.Messenger`."""
        key = f"{tenant or 'default'}.{due.insight.insight_id}.{due.kind}"
        return await self._posted(key, body_of(tenant, due, key))

    async def send_digest(self, tenant: str, digest: Digest) -> Sent:
        """See `ports.DigestMessenger`."""
        key = f"{tenant or 'default'}.digest.{digest.day}"
        return await self._posted(key, digest_of(tenant, digest, key))

    async def send_alarm(self, tenant: str, due: DueAlarm) -> Sent:
        """See `ports.AlarmMessenger`."""
        key = f"{tenant or 'default'}.budget.{due.alarm.alarm_id}"
        return await self._posted(key, alarm_of(tenant, due.alarm, key))

    async def _posted(self, key: str, body: dict[str, Any]) -> Sent:
        posted = await self._webhook.post(key, _ENCODE(body))
        return Sent(_STATES[posted.result], posted.reason, posted.retry_after_us)


def body_of(tenant: str, due: Due, key: str) -> dict[str, Any]:
    """The body: what Slack shows, and under `journeymesh` what a program reads, unescaped."""
    its = due.insight
    title = f"Incident {due.kind}, {its.severity}: {_said(its)}"
    closed = f", until {rfc3339(its.closed_us)}" if its.closed_us is not None else ""
    about = f"{'Tenant ' + tenant + ' · ' if tenant else ''}since {rfc3339(its.opened_us)}{closed} · {its.insight_id}"
    return {
        **slack(
            escaped(title), [escaped(each) for each in (title, "\n".join(_explained(its))) if each], escaped(about)
        ),
        "journeymesh": {
            "idempotencyKey": key,
            "kind": f"insight.{due.kind}",
            **({"tenant": tenant} if tenant else {}),
            **_figures(its),
        },
    }


def digest_of(tenant: str, digest: Digest, key: str) -> dict[str, Any]:
    """The body that tells what a day brought, as `body_of`."""
    counts = (len(digest.opened), len(digest.closed), len(digest.open))
    title = f"Incidents of {digest.day}: {counts[0]} new, {counts[1]} closed, {counts[2]} open at its end"
    every = sorted({*digest.opened, *digest.closed, *digest.open}, key=lambda each: -each.opened_us)
    lines = [f"{each.severity}, since {rfc3339(each.opened_us)}: {_said(each)}" for each in every]
    lines = [*_missing(digest), *map(_of_budget, digest.budget_alarms), *lines][:_MOST_LINES]
    told = escaped("\n".join(lines))
    return {
        **slack(escaped(title), [escaped(title), told], escaped(f"Tenant {tenant}" if tenant else "Journeymesh")),
        "journeymesh": {
            "idempotencyKey": key,
            "kind": "insights.digest",
            **({"tenant": tenant} if tenant else {}),
            "day": digest.day,
            "isJudged": digest.is_judged,
            "judgedUntil": rfc3339(digest.judged_until_us) if digest.judged_until_us else None,
            **{
                name: list(map(_figures, of))
                for name, of in zip(("opened", "closed", "open"), digest[4:7], strict=True)
            },
            "budgetAlarms": [*map(_alarm, digest.budget_alarms)],
        },
    }


def alarm_of(tenant: str, alarm: BudgetAlarm, key: str) -> dict[str, Any]:
    """The body that tells of a budget, as `body_of`."""
    title = _of_budget(alarm)
    return {
        **slack(escaped(title), [escaped(title)], escaped(f"Tenant {tenant}" if tenant else "Journeymesh")),
        "journeymesh": {
            "idempotencyKey": key,
            "kind": "budget.reached",
            **({"tenant": tenant} if tenant else {}),
            **_alarm(alarm),
        },
    }


def _missing(of: Digest) -> Iterator[str]:
    """A line that says what a digest does not tell."""
    if not of.is_judged:
        until = f"until {rfc3339(of.judged_until_us)} only" if of.judged_until_us else "no hour of this day yet"
        yield f"The watch is behind, and has judged {until}: incidents after that are missing."


def _alarm(of: BudgetAlarm) -> dict[str, Any]:
    return {
        "alarmId": of.alarm_id,
        "day": rfc3339(of.day_us)[:10],
        "percent": of.percent,
        "dailyUsd": of.daily_usd,
        "usedUsd": of.used_usd,
        "found": rfc3339(of.found_us),
    }


def _of_budget(of: BudgetAlarm) -> str:
    said = "all" if of.percent >= 100 else f"{of.percent} %"
    return f"Budget of {rfc3339(of.day_us)[:10]}: {said} is used, {of.used_usd:,.6g} of {of.daily_usd:,.6g} USD"


def _figures(its: WatchedInsight) -> dict[str, Any]:
    return {
        "insightId": its.insight_id,
        "severity": its.severity,
        "opened": rfc3339(its.opened_us),
        "closed": None if its.closed_us is None else rfc3339(its.closed_us),
        "affectedUserHours": its.affected_user_hours,
        "missingMoney": [each._asdict() for each in its.missing_money],
        "slices": [_slice(each) for each in its.slices],
        "changes": [
            {"time": rfc3339(each.time_us), **{name: getattr(each, name) for name in each._fields[1:]}}
            for each in its.changes
        ],
        "parts": [
            {
                "metric": part.metric,
                "direction": part.direction,
                "observed": part.observed,
                "expected": part.expected,
                "peak": rfc3339(part.peak_us),
            }
            for part in its.parts
        ],
    }


def _slice(of: InsightSlice) -> dict[str, Any]:
    told = of._asdict()
    second = {"secondField": told.pop("second_field"), "secondValue": told.pop("second_value")}
    return told | (second if of.second_field else {})


def _said(its: WatchedInsight) -> str:
    return ", ".join(map(_in_words, its.parts))


def _in_words(part: InsightPart) -> str:
    return f"{part.metric} {part.observed:,.0f} where {part.expected:,.0f} are usual"


def _explained(its: WatchedInsight) -> Iterator[str]:
    """Lines that say what explains an incident, what it costs and what changed."""
    if its.slices:
        told = (f"{_where(each)} ({100 * each.contribution:.0f} % of {each.metric})" for each in its.slices)
        yield f"Mostly {'; '.join(itertools.islice(told, _MOST_TOLD))}"
    if its.missing_money:
        yield (
            "About "
            + ", ".join(f"{each.amount:,.0f} {each.currency}".strip() for each in its.missing_money)
            + " missing"
        )
    if its.changes:
        told = (f"{each.kind} {_cut(each.name)}, {rfc3339(each.time_us)}" for each in its.changes)
        yield f"Just before: {'; '.join(itertools.islice(told, _MOST_TOLD))}"


def _where(of: InsightSlice) -> str:
    both = f" with {of.second_field} {_cut(of.second_value)}" if of.second_field else ""
    return f"{of.field} {_cut(of.value)}{both}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
