"""Recognises names of events that no table lists: refunds, sign-outs, and what a system did rather than the user.

Patterns match whole names of a few short words. docs/clients.md states the rules.
"""

import functools
import re
from typing import Final

# A refund that is only requested, begun or refused is none; neither is a user who returned.
_PAID_FOR: Final = (
    "(?:order|purchase|payment|charge|transaction|sale|invoice|booking|ticket|subscription|product|item)s?"
)
_GIVEN_BACK: Final = "(?:refunded|returned|reimbursed|reversed|voided|charged back)"
_DONE: Final = "(?:completed?|issued|processed|succeeded|successful|paid|sent|made|received|confirmed)"
REFUND: Final = re.compile(
    f"(?:{_PAID_FOR} (?:item |line item )?(?:(?:partially|fully) )?{_GIVEN_BACK}"
    f"|(?:(?:partially|fully) )?{_GIVEN_BACK} {_PAID_FOR}"
    f"|(?:{_PAID_FOR} )?(?:(?:partial|full) )?(?:refund|charge ?back|reimbursement)(?: {_DONE})?"
    f"|(?:{_PAID_FOR} )?return {_DONE})"
)

_WHO: Final = "(?:user|account|customer|member|visitor)"
SIGN_OUT: Final = re.compile(
    f"(?:{_WHO} )?(?:(?:was |has |has been )?(?:log|logs|logged|sign|signs|signed) ?(?:out|off))(?: {_WHO})?"
    "(?: (?:succeeded|successful|success|successfully|completed?))?"
)

# Our types of events, in another word order or with another verb.
OWN: Final = (
    ("page view", re.compile("page ?views?|viewed (?:a |the )?page|page visited|visited (?:a |the )?page")),
    ("form start", re.compile("form (?:start|begun|began|opened)|(?:started|began|opened) (?:a |the )?form")),
    ("form submit", re.compile("form (?:submit|sent|completed)|(?:submitted|sent|completed) (?:a |the )?form")),
    ("form abandon", re.compile("form (?:abandon|left|dropped)|(?:abandoned|left) (?:a |the )?form")),
    (
        "error",
        re.compile("error (?:message )?(?:occurred|displayed|encountered|raised|shown|seen)|(?:saw|got) (?:an )?error"),
    ),
    ("retry", re.compile("retry(?: (?:clicked|tapped|pressed|attempted))?|tried again|try again(?: clicked| tapped)?")),
    ("help request", re.compile("(?:requested|asked for) (?:help|support)|support requested|(?:help|support) request")),
    ("task success", re.compile("(?:completed|finished) (?:a |the )?task|task (?:finished|done|complete|success)")),
    ("task failure", re.compile("failed (?:a |the )?task|task (?:failure|fail)")),
    ("session start", re.compile("session (?:start|begun|began|opened)|(?:started|began) (?:a |the )?session")),
    ("session end", re.compile("session (?:end|closed|finished)|(?:ended|closed) (?:a |the )?session")),
)

CHECKOUT: Final = re.compile(
    "(?:checkout|payment) (?:complete|completed|succeeded|successful|success|finished)"
    "|order placed|purchase (?:complete|completed|succeeded|successful|made)"
    "|(?:completed|finished) (?:a |the )?(?:checkout|payment|order|purchase)|placed (?:an |the )?order"
)
"""A completed order or payment, besides the names in the table."""

# Reported by senders of messages.
_PUSH: Final = "(?:(?:web |mobile |silent |remote )?push(?: notification| message)?s?|notification)"
_MAIL: Final = "e ?mail"
_TEXT: Final = "(?:sms|mms|text message|whats ?app(?: message)?|webhook|newsletter|campaign|reminder|in ?app message)"
_PASSED: Final = (
    "(?:delivered|delivery|receive|received|bounced?|soft bounced?|hard bounced?|deferred|dropped|failed|attempted"
    "|skipped|blocked|queued|scheduled|processed|suppressed|rejected|throttled|undelivered|expired|displayed|shown"
    "|ignored|foreground)"
)
_AS_SPAM: Final = "(?:marked as spam|spam reported|spam report|reported as spam|complained|complaint|spam complaint)"
_SENDERS: Final = (
    f"(?:{_PUSH}|{_MAIL}|{_TEXT}) (?:(?:was|has been) )?(?:{_PASSED}|sent)"
    f"|(?:(?:live )?chat )?message (?:received|delivered|bounced|undelivered)"
    f"|(?:{_PASSED}|sent) (?:an? |the )?(?:{_PUSH}|{_MAIL}|{_TEXT})"
    f"|(?:delivered|received) (?:a |the )?message"
    f"|{_MAIL} (?:{_AS_SPAM}|opened|open)|opened (?:an |the )?{_MAIL}"
    f"|(?:marked|reported) (?:an |the )?{_MAIL} as spam|(?:spam|{_MAIL} spam) reported"
)
# Reported by phones as the user leaves an app.
_APPS: Final = (
    "app(?:lication)? (?:(?:is |was )?(?:entered |moved |went |did enter )?(?:to |in |into )?(?:the )?background(?:ed)?"
    "|terminated|closed|uninstalled|removed?|deleted|clear data|data cleared|will terminate|killed)|os update"
)

# Caused by time or billing. What starts, is cancelled, is paid or fails is the user's doing.
_RENEWS: Final = (
    "(?:(?:customer )?(?:premium |annual |monthly |yearly )?(?:subscription|membership|plan)"
    "|(?:customer )?(?:free )?(?:subscription )?trial|billing(?: cycle| period)?"
    "|licen[sc]e|contract|policy|warranty|pass)"
)
_RUNS_OUT: Final = (
    "(?:(?:(?:credit|debit|payment|gift|bank|loyalty) )?card|payment method|coupon|voucher"
    "|(?:reward |loyalty |bonus )?points|rewards?|(?:store )?credits?|offer|discount|promotion|promo code"
    "|domain|certificate|api key|access token"
    "|password|document|quote|reservation|consent)"
)
_BILL: Final = "(?:(?:bank |account |monthly |annual )?(?:invoice|bill|statement|receipt|payslip|payroll))"
_REPORT: Final = (
    "(?:(?:(?:daily|nightly|weekly|monthly|quarterly|annual|yearly|usage) )?(?:report|digest|summary|recap))"
)
_OWED: Final = (
    "(?:payment|invoice|bill|installment|instalment|rent|premium|fee|loan(?: payment)?|balance|rate|repayment)"
)
_EXPIRES: Final = (
    "(?:(?:has |is |was )?expired|expir(?:es|y|ing|ation)(?: soon| today| tomorrow)?|will expire(?: soon)?"
    "|about to expire|lapsed|lapsing|expiry reminder|expiration reminder)"
)
_TIME: Final = (
    f"{_RENEWS} (?:{_EXPIRES}|(?:auto |automatically )?renewed|renews(?: soon)?|will renew|(?:auto )?renewal"
    "(?: due| upcoming| reminder| processed| succeeded)?|ended|ends(?: soon)?|ending(?: soon)?|will end|due|upcoming)"
    f"|(?:auto|automatically) renewed {_RENEWS}"
    f"|{_RUNS_OUT} {_EXPIRES}"
    f"|{_BILL} (?:was |is )?(?:generated|issued|finali[sz]ed|ready|available|posted|mailed|emailed)"
    f"|{_REPORT} (?:(?:was |is )?(?:generated|ready|available|emailed|mailed))"
    "|(?:(?:daily|nightly|weekly|monthly|quarterly|annual|yearly) )(?:report|digest|summary|recap|statement)"
    " (?:sent|delivered|created)|digest sent"
    f"|{_OWED} (?:(?:is |was )?(?:over |past )?(?:due|overdue)(?: soon| today| tomorrow)?|upcoming|due date reached)"
    f"|(?:upcoming|overdue) {_OWED}"
    f"|(?:{_OWED}|{_RENEWS}|{_BILL}|appointment|due date|birthday|anniversary)(?: due)? reminder(?: sent)?"
    "|interest (?:accrued|credited|posted)|(?:late |overdraft )fee (?:charged|applied|added)"
    "|(?:cron|scheduled|background|nightly|batch) (?:job|task|run|sync)(?: (?:ran|started|finished|completed|done))?"
)
SYSTEM: Final = re.compile(f"(?:{_SENDERS}|{_APPS}|{_TIME})")

MOST: Final = 64
"""The length of a name, in characters; longer ones are not recognised."""

_BOUNDARIES: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_.\-$:]+")


def words(name: str) -> str:
    """The words of a name such as `Order Completed` or `orderCompleted`: lower case, separated by spaces."""
    return _BOUNDARIES.sub(" ", name).strip().lower()


def is_of_system(type_: str) -> bool:
    """Whether a dotted type ends in the name of something a system did: `com.acme.invoice.generated`."""
    return _is_of_system(type_[-MOST:])


@functools.lru_cache(maxsize=4096)
def _is_of_system(type_: str) -> bool:
    parts = type_.split(".")
    return any(SYSTEM.fullmatch(words(" ".join(parts[-count:]))) for count in (1, 2, 3))
