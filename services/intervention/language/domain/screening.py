"""What goes to a language model and what comes back: user-made text as data, and answers that may be shown.

User-made text is the name of a page, a form or a button; whoever wrote it may try to speak to the model. So it is
shortened, cleaned and put as JSON into a block that the standing orders declare as data. Text that reads like an order
is left out altogether, and the answer is checked as if the model had obeyed it all the same.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from records import tenants
from services.intervention.language.domain import english
from services.intervention.language.domain.conversation import NotAnswered, Refusal

DATA_START: Final = "<data>"
DATA_END: Final = "</data>"
WITHHELD: Final = "[withheld]"
_REMOVED: Final = "[removed]"
# The apostrophe of typographers.
_CURLED: Final = "\u2019"
LONGEST_TEXT: Final = 120
# How much of a longer text is read; the rest is neither shown nor obeyed.
_LONGEST_READ: Final = 2_000

_ORDER: Final = re.compile(
    r"\b(ignore|disregard|forget|override|pretend|instructions?|prompt|assistant|system|model|jailbreak|developer mode"
    r"|say|tell|write|answer|reply|respond|repeat|output|print|reveal|translate"
    r"|you (?:must|should|are|will|have to)|act as|new rules?|ignoriere|vergiss|ignora|oublie)\b",
    re.IGNORECASE,
)
# Each pattern begins where a word does, so that a text is not searched again from each of its letters.
_ADDRESS: Final = re.compile(r"(?<![^\s@])[^\s@]++@[^\s@]+\.[^\s@]+")
_LONG_NUMBER: Final = re.compile(r"\d(?:[ ()./-]?\d){5,}")
# The part behind a path may hold anything, and says nothing about the page.
_QUERY: Final = re.compile(r"(?<=\S)[?#;]\S*")

# What help never says: addresses, markup, and what a deceiver would want from a user.
_UNSAFE: Final = re.compile(
    r"https?:|www\.|://|\b[\w-]+\.(?:com|net|org|io|de|info|biz|example|ru|cn|co|app|xyz|site|online|link|me|ly)\b|@"
    r"|[<>{}\[\]`\\|#*~^]|&\w+;|\d(?:[ ()./+-]?\d){3,}|[$€£¥₿%]"
    r"|\b(?:passwords?|passcode|pin|cvv|iban|ssn|credentials?|log ?in details|bank details|card number"
    r"|refunds?|discounts?|vouchers?|coupons?|gift|prizes?|won|winner|lottery|bitcoin|crypto|guarantee[ds]?"
    r"|for free|free of charge|hacked|suspended|terminated|lawsuit|police|whatsapp|telegram"
    r"|install|download|wire transfer|pay (?:now|us)|call (?:us|now|this))\b",
    re.IGNORECASE,
)
_REFUSING: Final = re.compile(
    r"\b(?:i(?:'m| am) sorry|i (?:can(?:no|')t|cannot|can not|won't|will not|am unable|am not able)|as an ai"
    r"|(?:large )?language model|unable to (?:assist|help|comply)|against (?:my|our) (?:policy|guidelines))\b",
    re.IGNORECASE,
)
_OWN_WORKINGS: Final = re.compile(
    r"system prompt|standing orders|my instructions|these instructions|previous instructions|</?data>|\bjson\b",
    re.IGNORECASE,
)
_LEAKED_WORDS: Final = 6
_ECHOED_WORDS: Final = 3


def clean(text: str, user_id: str = "") -> str:
    """User-made text as it may be given to a model: one short line without controls, user ids, addresses and numbers.

    What reads like an order to the model is withheld.
    """
    if is_order(text):
        return WITHHELD
    plain = _QUERY.sub("", " ".join(_visible(text).split()))
    if user_id:
        plain = re.sub(rf"(?<!\w){re.escape(tenants.plain(user_id))}(?!\w)", _REMOVED, plain)
    plain = _LONG_NUMBER.sub(_REMOVED, _ADDRESS.sub(_REMOVED, plain))
    return plain if len(plain) <= LONGEST_TEXT else plain[: LONGEST_TEXT - 1] + "…"


def is_order(text: str) -> bool:
    """Whether text reads as if it spoke to a model."""
    return bool(_ORDER.search(english.spaced(_visible(text))))


def data_block(data: object) -> str:
    """Data as JSON between marks that the data itself cannot contain."""
    encoded = json.dumps(data, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return f"{DATA_START}{encoded.replace('<', chr(92) + 'u003c').replace('>', chr(92) + 'u003e')}{DATA_END}"


def unfenced(text: str) -> str:
    """An answer without the code fence that models like to put around JSON."""
    return re.sub(r"^\s*```(?:json)?\s*|\s*```\s*\Z", "", text).strip()


def check(said: str, orders: str, allowed: str = "") -> None:
    """Returns if a model's words may be shown.

    Args:
        said: the words.
        orders: the standing orders, which nobody may see.
        allowed: our own words; what is in them may be said.

    Raises:
        NotAnswered: they refuse, reveal the orders, contain addresses or what no help says, or are not English.
    """
    if any(unicodedata.category(each)[0] == "C" for each in said):
        raise NotAnswered(Refusal.UNSAFE)
    plain = unicodedata.normalize("NFKC", said).replace(_CURLED, "'")
    if is_refusing(plain):
        raise NotAnswered(Refusal.REFUSED)
    leaked = _runs(english.words(plain), _LEAKED_WORDS) & _runs(english.words(orders), _LEAKED_WORDS)
    if _OWN_WORKINGS.search(plain) or leaked - _runs(english.words(allowed), _LEAKED_WORDS):
        raise NotAnswered(Refusal.LEAK)
    if any(found.group().lower() not in allowed.lower() for found in _UNSAFE.finditer(plain)):
        raise NotAnswered(Refusal.UNSAFE)
    if not english.is_english(plain):
        raise NotAnswered(Refusal.WRONG_LANGUAGE)


def is_sayable(name: str) -> bool:
    """Whether a name that users or shops made may be shown as it is: short, one line, and nothing that no help says."""
    if len(name) > LONGEST_TEXT or any(unicodedata.category(each)[0] == "C" for each in name):
        return False
    plain = unicodedata.normalize("NFKC", name).replace(_CURLED, "'")
    return plain.isprintable() and not _UNSAFE.search(plain)


def is_refusing(text: str) -> bool:
    """Whether a text is the refusal of a model."""
    return bool(_REFUSING.search(text.replace(_CURLED, "'")))


def check_echo(said: str, sources: Iterable[str], allowed: str = "") -> None:
    """Returns if a model's words repeat nothing that users made.

    Of text that reads like an order, no three words in a row may come back; of other text, no three words of which one
    is uncommon: `in the form` is plain English, `the form viagra` is not ours.

    Raises:
        NotAnswered: they do.
    """
    heard = _runs(english.words(said), _ECHOED_WORDS) - _runs(english.words(allowed), _ECHOED_WORDS)
    for source in sources:
        shared = heard & _runs(english.words(source), _ECHOED_WORDS)
        if any(is_order(source) or not english.is_plain(run) for run in shared):
            raise NotAnswered(Refusal.ECHO)


def _visible(text: str) -> str:
    """Text in its plainest letters, without invisible characters and with spaces for controls. Long text is cut."""
    plainest = unicodedata.normalize("NFKC", text[:_LONGEST_READ])[:_LONGEST_READ]
    kinds = ((each, unicodedata.category(each)) for each in plainest)
    return "".join(" " if kind[0] == "C" else each for each, kind in kinds if kind != "Cf")


def _runs(found: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(found[i : i + length]) for i in range(len(found) - length + 1)}
