"""Whether to help a user, how and when: facts, user state, rules, the decision and its ledger."""
