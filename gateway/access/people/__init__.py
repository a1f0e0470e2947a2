"""People: they sign in with the company's OpenID provider, and their roles say what they may do."""
