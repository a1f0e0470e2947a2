"""Personal data and secrets that came into an event by accident: found and masked before anything is written.

`kinds` says what is looked for, `hint` finds quickly that a batch holds none of it, `names` knows members by their
names, `patterns` and `numbers` know cards, accounts and phone numbers, `texts`, `json_text` and `tables` mask.
docs/privacy.md has the rules.
"""
