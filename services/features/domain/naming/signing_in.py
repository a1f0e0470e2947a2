"""Names that mean logging in or signing up: few and unambiguous, because a login settles what they name."""

from functools import lru_cache
from itertools import pairwise
from typing import Final

from services.features.domain.naming.words import words

_NAMES: Final = """
login logon signin signon signup sso auth oauth authenticate authentication register registration password
passwort kennwort einloggen anmelden anmeldung registrieren registrierung connexion inscription
"""
_WORDS: Final = frozenset(_NAMES.split())
_PAIRS: Final = frozenset({("log", "in"), ("log", "on"), ("sign", "in"), ("sign", "on"), ("sign", "up")})


@lru_cache(maxsize=1024)
def names_signing_in(name: str) -> bool:
    """Whether a page's or target's name has such a word, or two: `/auth/step-2`, `Log in`, `signUpForm`."""
    parts = words(name)
    return not _WORDS.isdisjoint(parts) or not _PAIRS.isdisjoint(pairwise(parts))
