"""The access service.

Decides which tenants and keys there are and what each key may do, and keeps the audit log of what was done with them.
Owns the tenants, the keys, of whose texts it keeps hashes only, when each key was last used, what was spent of their
limits, and the chain of audited acts, which holds no user's id. Calls nobody but its store. The gateway polls the
keyring, reports uses and what was spent, and records acts; `journeymesh keys` creates, lists, rotates and revokes,
`journeymesh tenants` creates, lists, limits and deletes, `journeymesh audit` lists and verifies.
Without the store it answers `UNAVAILABLE`; gateways go on with the keyring they have, and each by itself with the
limits, but refuse what has to be recorded first.
"""
