"""What the mesh cost, beside what help changed in the same window."""

from services.analytics.adapters.copies.relations import Query
from services.analytics.adapters.questions import effects
from services.analytics.domain import answer
from services.analytics.domain.costs import costs as of_use
from services.analytics.domain.question import Costs


def costs(query: Query, asked: Costs) -> answer.Costs:
    """What was used was looked up already; here come offers, and the conversions that help added."""
    changed = effects.effect(query, asked)
    ((offers,),) = query.rows(
        f"SELECT count(*) FROM ({query.chosen(asked, relation='all_decisions')}) WHERE kind = 'intervene'"
    )
    return of_use(asked.days, asked.prices, offers, changed.treated_count, changed.effects, asked.budget_usd)
