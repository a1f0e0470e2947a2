"""The intervention service.

Decides whether to help a user, how and when, from the assessment of every event; mostly it decides for none.
Owns what waits for a user, what came of it, and the ledger of all decisions, those for none included.
Calls nobody but its store. The dispatcher calls it last of all with every batch; the gateway reads and watches.
Without the store it answers `UNAVAILABLE`; the dispatcher repeats the batch, and the repeat is answered as the first.
Without the ledger's lifetime a decision is `NOT_FOUND`; what waits and what was learned stand apart and live on.
"""
