"""What help changed, from the decisions that made users count on a side and what those users did after."""

from services.analytics.adapters.copies.relations import FORM_ENDS, FORMS, Query, listed
from services.analytics.domain import answer
from services.analytics.domain.effect import Side, of_money, of_shares
from services.analytics.domain.question import Effect


def effect(query: Query, asked: Effect) -> answer.Effect:
    """Conversion, abandonment and money of treated users and of the holdout."""
    experiment = asked.experiment or _latest(query, asked)
    query.make(
        "exposed",
        "SELECT user_id, arg_min(is_treated, (t, decision_id)) AS is_treated, min(t) AS since FROM "
        f"({query.chosen(asked, relation='all_decisions')}) "
        f"WHERE is_treated IS NOT NULL AND experiment = {query.bound(experiment)} GROUP BY user_id",
    )
    query.make(
        "followed",
        f"SELECT exposed.user_id, is_treated, ({query.met(asked.conversion)}) AND NOT coalesce(is_refund, false) "
        f"AS converts, event_type IN ({listed(FORMS)}) AS forms, event_type IN ({listed(FORM_ENDS)}) AS ends, "
        "amount, coalesce(currency, '') AS currency FROM exposed JOIN all_events USING (user_id) WHERE NOT is_bot "
        f"AND epoch_us(event_time) > since AND epoch_us(event_time) <= since + {asked.within_seconds * 1_000_000}",
    )
    users = {True: 0, False: 0} | dict(query.rows("SELECT is_treated, count(*) FROM exposed GROUP BY is_treated"))
    counts = {
        is_treated: (converted, abandoned)
        for is_treated, converted, abandoned in query.rows(
            "SELECT is_treated, count(*) FILTER (converted), count(*) FILTER (formed AND NOT ended) FROM "
            "(SELECT is_treated, bool_or(converts) AS converted, bool_or(forms) AS formed, bool_or(ends) AS ended "
            "FROM followed GROUP BY user_id, is_treated) GROUP BY is_treated"
        )
    }
    money = {
        (currency, is_treated): Side(users[is_treated], paying, total, squares)
        for currency, is_treated, paying, total, squares in query.rows(
            "SELECT currency, is_treated, count(*), sum(money), sum(money * money) FROM (SELECT currency, is_treated, "
            "sum(amount) AS money FROM followed WHERE amount IS NOT NULL GROUP BY user_id, is_treated, currency) "
            "GROUP BY currency, is_treated"
        )
    }

    def share(number: int, *, is_treated: bool) -> Side:
        having = counts.get(is_treated, (0, 0))[number]
        return Side(users[is_treated], having, having, having)

    effects = [
        of_shares(name, share(number, is_treated=True), share(number, is_treated=False))
        for number, name in enumerate(("conversion_rate", "abandonment_rate"))
    ]
    for currency in sorted({currency for currency, _ in money}):
        sides = (money.get((currency, each), Side(users[each], 0, 0.0, 0.0)) for each in (True, False))
        effects.append(of_money(currency, *sides))
    return answer.Effect(tuple(effects), experiment, users[True], users[False])


def _latest(query: Query, asked: Effect) -> str:
    ((experiment,),) = query.rows(
        f"SELECT arg_max(experiment, (t, decision_id)) FROM ({query.chosen(asked, relation='all_decisions')}) "
        "WHERE is_treated IS NOT NULL"
    )
    return experiment or ""
