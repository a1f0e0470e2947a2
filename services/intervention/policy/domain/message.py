"""What is said to the user: a fixed sentence by the strongest difficulty, and the offer of the policy."""

from collections.abc import Sequence
from typing import Final

VERSION: Final = "messages-2"

_SEEN: Final[dict[str, str]] = {
    "repeated_failures": "It looks like this is not working as it should.",
    "form_errors": "It looks like the form is giving you trouble.",
    "help_seeking": "It looks like you have not found your answer yet.",
    "help_requests": "It looks like you have not found your answer yet.",
    "page_refreshes": "It looks like the page is not doing what you expect.",
    "rage_clicks": "It looks like something here does not react.",
    "dead_click": "It looks like something here does not react.",
    "error_click": "It looks like something here went wrong.",
    "scattered_errors": "It looks like something here went wrong.",
    "error_count": "It looks like something here went wrong.",
    "retry_count": "It looks like this is not working as it should.",
    "click_frustration": "It looks like something here does not react.",
    "repeated_recalculation": "It looks like you are weighing several figures.",
    "form_abandonment": "It looks like the form took more than you had at hand.",
    "forms_left": "It looks like the form took more than you had at hand.",
    "form_abandons": "It looks like the form took more than you had at hand.",
    "rapid_navigation": "It looks like you are searching for something.",
    "quick_backs": "It looks like you are searching for something.",
    "long_time_on_page": "It looks like this page leaves something open.",
}
_UNSEEN: Final = "We would like to help you get on."


def words(difficulties: Sequence[str], offer: str) -> str:
    """What was seen, and what is offered."""
    return f"{_SEEN[difficulties[0]] if difficulties else _UNSEEN} {offer}"
