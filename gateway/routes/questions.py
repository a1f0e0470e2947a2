"""The rows of the table that answer questions about many users: each kind of question, and its answer as a file."""

from typing import Final

from gateway.contract.route import Parameter, Route
from gateway.routes import analytics

CALLS_REASONS: Final = ("DEPENDENCY_UNAVAILABLE", "DEADLINE_TOO_SHORT")
BODY_REASONS: Final = (
    "MALFORMED_JSON",
    "INVALID_TYPE",
    "UNKNOWN_FIELD",
    "UNSUPPORTED_CONTENT_TYPE",
    "REQUEST_TOO_LARGE",
)
_REASONS: Final = (
    "MISSING_FIELD",
    "VALUE_OUT_OF_RANGE",
    "INVALID_TIME",
    "SEGMENT_NOT_FOUND",
    "QUESTION_TOO_LARGE",
    "QUESTION_TOO_SLOW",
    "TOO_MANY_QUESTIONS",
    *BODY_REASONS,
    *CALLS_REASONS,
)
_ANSWERED: Final = {
    "kpis": "The key figures of a window, each with that of the window before.",
    "trends": "A figure over time, also broken down.",
    "funnels": "How many users go through a sequence of steps, and how long they take.",
    "retention": "How many users come back.",
    "paths": "Which ways sessions take through the product.",
    "struggles": "Where users struggle: by kind, page and element.",
    "effects": "What help changed: conversion, abandonment and money of treated users against the holdout.",
    "calibration": "Whether what a model said came true: reliability, and calibration over time.",
    "drift": "What moved since the window before: scores, and what gave reasons for them.",
    "insights": "When key figures were unusual: incidents, how severe they were, and what belongs together.",
    "costs": "What the mesh cost, by day and part, and what one of each thing cost that came of it.",
    "journeys": "What one user did, and what was decided about them and why, in order of time.",
    "lists": "Users or decisions, one by one.",
}
_EXAMPLES: Final = {
    "trends": '{"measure":"users","interval":"day","breakdown":"platform"}',
    "funnels": '{"steps":[{"where":[{"field":"page","values":["/calculator"]}]},'
    '{"where":[{"field":"event_type","values":["form_submit"]}]}]}',
}


def _routes(kind: str, summary: str) -> tuple[Route, Route]:
    of = analytics.KINDS[kind]
    path = f"/api/analytics/{kind}" + ("/{userId}" if kind == "journeys" else "")
    route = Route(
        "POST",
        path,
        summary,
        analytics.asked(of),
        of.answer,
        reasons=_REASONS,
        body=analytics.body(of),
        example=_EXAMPLES.get(kind, "{}"),
    )
    file = Parameter("format", {"enum": [*analytics.FORMATS], "default": "csv"}, "The format of the file.")
    return route, route._replace(
        path=f"{path}/export",
        summary=f"The same as a file. {summary}",
        serve=analytics.exported(of),
        answer=analytics.CSV,
        other_answers=(analytics.PARQUET,),
        query=(file,),
        example="",
    )


QUESTION_ROUTES: Final = tuple(route for kind, summary in _ANSWERED.items() for route in _routes(kind, summary))
