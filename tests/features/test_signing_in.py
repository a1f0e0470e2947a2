"""A login is a success of what is named like one; a purchase reported by a system ends trouble with paying."""

import msgspec
import pytest

from services.features.domain.event import Carried, Event, Kind
from services.features.domain.journey import apply
from services.features.domain.naming.signing_in import names_signing_in
from services.features.domain.settlement import SOLVED_LIMIT
from services.features.domain.signal import SignalType
from services.features.domain.state import State
from services.features.domain.vector import vector
from tests.features.stored import decode, encode
from tests.features.stories import DAY, applied, at, feature


def failures(page: str, target: str = "", begin: float = 0) -> list[Event]:
    return [at(begin + 5 * number, Kind.TASK_FAILURE, page, target) for number in range(3)]


IDENTIFY = at(60, Kind.IDENTIFY)
LINK = at(60, Kind.IDENTIFY, is_link=True)
ARRIVAL = at(60, Kind.IDENTIFY, carried=Carried(1, {"EUR": 5.0}))

LOGINS = [
    ("/login", "login"),
    ("/login", ""),
    ("", "Log in"),
    ("", "signIn"),
    ("/sign-up/step-2", "email"),
    ("/konto", "Anmelden"),
    ("/auth/callback", ""),
    ("/start", "password"),
    ("/#/register", "form"),
    ("", "OAuth google"),
    ("/users/sign_in?next=%2Fpay", ""),
]
OTHERS = [
    ("/pay", "pay"),
    ("/author/7", "author"),
    ("/blogin", ""),
    ("/design", "in"),
    ("", ""),
    ("/log", "book in"),
    ("/signs", "up"),
    ("/profile", "name"),
]


@pytest.mark.parametrize(("page", "target"), LOGINS)
@pytest.mark.parametrize("event", [IDENTIFY, LINK], ids=["identify", "link"])
def test_a_login_ends_the_trouble_with_logging_in(page: str, target: str, event: Event) -> None:
    state, found = applied(failures(page, target))
    over = apply(state, event).settled
    assert [(each.type, each.at_us) for each in over] == [(each.type, each.at_us) for each in found]
    assert not state.open_signals
    # One failure more is the first again.
    assert not apply(state, at(70, Kind.TASK_FAILURE, page, target)).signals


@pytest.mark.parametrize(("page", "target"), OTHERS)
@pytest.mark.parametrize("event", [IDENTIFY, LINK, ARRIVAL], ids=["identify", "link", "arrival"])
def test_a_login_ends_no_other_trouble(page: str, target: str, event: Event) -> None:
    state, found = applied(failures(page, target))
    assert not apply(state, event).settled
    assert len(state.open_signals) == len(found) == 2
    assert [each.type for each in apply(state, at(70, Kind.TASK_FAILURE, page, target)).signals]


def test_purchases_move_with_the_login_as_before() -> None:
    state = applied([*failures("/login"), at(30, Kind.PURCHASE, "/a", amount=3.0, currency="EUR")])[0]
    left = apply(state, LINK)
    assert left.carried is not None
    assert (left.carried.purchase_amounts, len(left.settled)) == ({"EUR": 3.0}, 2)


@pytest.mark.parametrize("login", [IDENTIFY, ARRIVAL], ids=["identify", "arrival"])
@pytest.mark.parametrize("known", [[], [at(-DAY, Kind.PAGE_VIEW, "/a")]], ids=["new", "known since yesterday"])
def test_failures_from_before_the_login_that_come_behind_it_are_no_trouble(known: list[Event], login: Event) -> None:
    """As copies of the anonymous session do, the newest first."""
    copies = list(reversed(failures("/login", "login")))
    assert not [each for each in applied([*known, login, *copies])[1] if each.type == SignalType.REPEATED_FAILURES]
    others = list(reversed(failures("/pay", "pay")))
    assert [each for each in applied([*known, login, *others])[1] if each.type == SignalType.REPEATED_FAILURES]


def test_failures_after_the_login_are_trouble_again() -> None:
    assert applied([IDENTIFY, *failures("/login", "login", 70)])[1]


def test_a_login_closes_its_form_and_no_other() -> None:
    for form, count in (("login", 0.0), ("loan", 1.0)):
        events = [at(0, Kind.FORM_START, f"/{form}", form), IDENTIFY, at(90, Kind.SESSION_END)]
        assert feature("form_abandons", events) == count


def test_only_one_of_many_logins_is_remembered() -> None:
    """Some clients identify with every page."""
    state = applied([at(0, Kind.TASK_SUCCESS, "/pay", "pay"), *(at(n, Kind.IDENTIFY) for n in range(1, 50))])[0]
    assert len(state.solved) <= 2 * len(applied([IDENTIFY])[0].solved)
    assert not applied([at(0, Kind.TASK_SUCCESS, "/pay", "pay"), *(at(n, Kind.IDENTIFY) for n in range(1, 50))])[1]
    for number in range(60, 60 + 2 * SOLVED_LIMIT):
        apply(state, at(number, Kind.TASK_SUCCESS, "/a", f"{number}"))
        apply(state, at(number, Kind.IDENTIFY))
    assert len(state.solved) == SOLVED_LIMIT * len(applied([IDENTIFY])[0].solved)
    assert decode(encode(state)) == state


@pytest.mark.parametrize(("page", "target"), LOGINS)
def test_names_of_logins_are_known(page: str, target: str) -> None:
    assert names_signing_in(page) or names_signing_in(target)


# Purchases that a system reports.

PAID = at(60, Kind.PURCHASE, amount=12.5, currency="USD", is_system=True)


@pytest.mark.parametrize(
    ("page", "target"), [("/checkout", "payment"), ("/konto", "Zahlung"), ("/a", "card"), ("/checkout?step=3", "")]
)
def test_a_payment_reported_by_a_system_ends_trouble_with_paying(page: str, target: str) -> None:
    state, found = applied(failures(page, target))
    before, session = vector(state), (state.last_us, state.session_count)
    assert len(apply(state, PAID).settled) == len(found) == 2
    assert (vector(state), (state.last_us, state.session_count)) == (before, session)
    assert (state.purchase_count, state.last_success_us) == (1, 0)


@pytest.mark.parametrize(
    "event",
    [
        msgspec.structs.replace(PAID, is_refund=True),
        msgspec.structs.replace(PAID, amount=-3.0),
        msgspec.structs.replace(PAID, kind=Kind.TASK_SUCCESS, page="/checkout", target="payment"),
        msgspec.structs.replace(PAID, at_us=PAID.at_us - 120_000_000),
    ],
    ids=["a refund", "a negative amount", "no purchase", "before the trouble"],
)
def test_no_other_system_event_ends_it(event: Event) -> None:
    state = applied(failures("/checkout", "payment"))[0]
    assert not apply(state, event).settled
    assert len(state.open_signals) == 2


def test_a_payment_reported_by_a_system_ends_no_trouble_elsewhere() -> None:
    state = applied(failures("/profile", "name"))[0]
    assert not apply(state, PAID).settled


def test_failures_from_before_the_payment_that_come_behind_it_are_no_trouble() -> None:
    assert not applied([at(-5, Kind.PAGE_VIEW, "/a"), PAID, *failures("/checkout", "payment")])[1]


def test_a_payment_of_an_unseen_user_only_counts_as_money() -> None:
    state = State()
    assert not apply(state, PAID).settled
    assert (state.last_us, state.session_count, state.purchase_count) == (0, 0, 1)
