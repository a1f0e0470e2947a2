"""What is answered about users one by one: journeys and lists."""

from typing import Any, Final

from services.analytics.adapters.copies.relations import BEGUN, Query
from services.analytics.adapters.questions import ways
from services.analytics.domain import answer
from services.analytics.domain.question import SESSION_GAP_US, Journey, Listing, ListKind

_OUTCOMES: Final = ("expired", "withdrawn", "shown", "declined", "accepted", "converted")


def journey(query: Query, asked: Journey) -> answer.Journey:
    """A user's events and decisions, the latest ones, in order of time."""
    user, within = query.bound(asked.user_id), query.within(asked.window, SESSION_GAP_US)
    events = query.rows(
        f"""SELECT * EXCLUDE (place) FROM (
            SELECT epoch_us(event_time) AS t, NOT is_system AND coalesce(
                epoch_us(event_time) - lag(epoch_us(event_time))
                OVER (PARTITION BY is_system ORDER BY event_time, place) > {SESSION_GAP_US}, true) AS begins,
            event_id, event_type, page, target, error_code, platform, device_class, video_id, intervention_id, outcome,
            place FROM all_events WHERE user_id = {user} AND {within}
        ) WHERE t >= {asked.window.start_us} ORDER BY t DESC, place DESC LIMIT {asked.limit}"""
    )
    user, within = query.bound(asked.user_id), query.within(asked.window, SESSION_GAP_US)
    decisions = query.rows(
        f"""SELECT t, decision_id, event_id, kind, reasons, score, level, indicators,
            {BEGUN}, intervention_id, explanation, candidates, policy_version FROM (
            SELECT *, lag(signals) OVER own AS before, lag(t) OVER own AS before_t FROM (
                SELECT *, epoch_us(event_time) AS t,
                    {query.signals()} AS signals
                FROM all_decisions WHERE user_id = {user} AND {within}
            ) WINDOW own AS (ORDER BY t, place)
        ) WHERE t >= {asked.window.start_us} ORDER BY t DESC, place DESC LIMIT {asked.limit}"""
    )
    entries = [*map(_event, reversed(events)), *map(_decision, reversed(decisions))]
    entries.sort(key=lambda each: (each.time_us, each.decision is not None))
    return answer.Journey(tuple(entries[-asked.limit :]))


def _event(row: tuple[Any, ...]) -> answer.JourneyEntry:
    time_us, begins, *members = row
    return answer.JourneyEntry(time_us, begins, answer.JourneyEvent(*(each or "" for each in members)), None)


def _decision(row: tuple[Any, ...]) -> answer.JourneyEntry:
    (
        time_us,
        decision_id,
        event_id,
        kind,
        reasons,
        score,
        level,
        indicators,
        begun,
        intervention,
        text,
        candidates,
        policy,
    ) = row
    made = answer.JourneyDecision(
        decision_id,
        event_id,
        kind or "",
        tuple(reasons or ()),
        score,
        level or "",
        tuple(
            answer.JourneyIndicator(each["name"] or "", each["contribution"] or 0.0, each["reason"] or "")
            for each in indicators or ()
        ),
        tuple(begun or ()),
        intervention or "",
        text or "",
        tuple(
            answer.Alternative(
                each["action"] or "",
                each["channel"] or "",
                each["success_probability"] or 0.0,
                each["refusal"] or "",
                bool(each["is_chosen"]),
            )
            for each in candidates or ()
        ),
        policy or "",
    )
    return answer.JourneyEntry(time_us, False, None, made)


def listing(query: Query, asked: Listing) -> answer.Listing:
    """Users or decisions one by one."""
    rows: list[answer.ListRow]
    if asked.kind is ListKind.USERS:
        query.make(
            "listed",
            "SELECT user_id, max(t) AS t, coalesce(arg_max(page, t), '') AS page, "
            "coalesce(arg_max(target, t), '') AS target, "
            f"count(*) AS n FROM ({query.chosen(asked)}) GROUP BY user_id",
        )
        rows = [
            answer.ListRow(*row)
            for row in query.rows(f"SELECT * FROM listed ORDER BY t DESC, user_id LIMIT {asked.limit}")
        ]
    elif asked.kind is ListKind.USERS_AT_RISK:
        query.make(
            "listed",
            "SELECT user_id, last.* FROM (SELECT user_id, arg_max({'t': t, 'page': page, 'target': target, "
            "'score': score, 'level': level, 'indicators': indicators, 'decision_id': decision_id, "
            "'intervention_id': intervention_id}, "
            f"(t, decision_id)) AS last FROM ({query.chosen(asked, relation='all_decisions')}) GROUP BY user_id) "
            "WHERE last.level IN ('medium', 'high', 'critical')",
        )
        rows = _decided(query, f"ORDER BY score DESC, t DESC, user_id LIMIT {asked.limit}")
    elif asked.kind is ListKind.OFFERS:
        query.make(
            "listed",
            "SELECT user_id, t, page, target, score, level, indicators, decision_id, intervention_id FROM "
            f"({query.chosen(asked, relation='all_decisions')}) WHERE kind = 'intervene'",
        )
        rows = _decided(query, f"ORDER BY t DESC, decision_id LIMIT {asked.limit}")
    else:
        assert asked.funnel is not None  # noqa: S101 - `checked` has seen to it
        ways.reached(query, asked.funnel)
        is_it = f"depth = {asked.step}" if asked.kind is ListKind.DROP_OFFS else f"depth >= {asked.step}"
        query.make("listed", f"SELECT user_id, way[{asked.step}] AS t FROM reached WHERE {is_it}")
        rows = [
            answer.ListRow(*row)
            for row in query.rows(f"SELECT * FROM listed ORDER BY t DESC, user_id LIMIT {asked.limit}")
        ]
    ((total,),) = query.rows("SELECT count(*) FROM listed")
    return answer.Listing(tuple(rows), total)


def _decided(query: Query, order: str) -> list[answer.ListRow]:
    """The rows of decisions, each with the furthest outcome of its intervention."""
    ranks = query.bound(list(_OUTCOMES))
    found = query.rows(
        f"""SELECT user_id, t, page, target, score, level, indicators[1].reason, decision_id,
            listed.intervention_id, outcome
        FROM listed LEFT JOIN (
            SELECT intervention_id, arg_max(outcome, list_position({ranks}::VARCHAR[], outcome)) AS outcome
            FROM all_events WHERE outcome IS NOT NULL AND intervention_id <> '' GROUP BY ALL
        ) AS ended ON ended.intervention_id = listed.intervention_id {order}"""
    )
    return [
        answer.ListRow(
            user,
            time_us,
            page or "",
            target or "",
            0,
            score,
            level or "",
            reason or "",
            decision,
            help_id or "",
            outcome or "",
        )
        for user, time_us, page, target, score, level, reason, decision, help_id, outcome in found
    ]
