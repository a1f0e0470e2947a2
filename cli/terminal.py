"""Text on a terminal."""


def plain(text: object) -> str:
    """A client's text without control characters, which a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in str(text))
