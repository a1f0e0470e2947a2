"""The people who have signed in: their sessions, and the tokens that sign in the operator of a laptop."""
