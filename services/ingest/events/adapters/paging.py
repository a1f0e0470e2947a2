"""Page tokens of lists: the number of entries before the page, in decimal."""

import re
from typing import Final

from mesh.errors import InvalidArgument

AT_ONCE: Final = 10
"""So many entries are read at once, before their size is known."""
PAGE_BYTES: Final = 512 * 1024
"""A page ends, though it was to be longer, where what it holds is larger."""
_TOKEN: Final = re.compile(r"[1-9][0-9]{0,8}")


def page_start(token: str) -> int:
    """How many entries stand before the page; 0 for an empty token.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, the token is not one that was given out.
    """
    if not token:
        return 0
    if _TOKEN.fullmatch(token) is None:
        raise InvalidArgument("INVALID_PARAMETER", "The page token is not one that was given out.")
    return int(token)
