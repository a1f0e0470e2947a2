"""The access service.

Decides which tenants and keys there are and what each key may do, knows who is signed in, and keeps the audit log.
Owns the tenants, the keys, of whose texts it keeps hashes only, when each key was last used, what was spent of their
limits, people's sessions, and the chain of audited acts, which holds no user's id. Calls nobody but its store. The
gateway polls the keyring and which sessions were ended, reports uses and what was spent, begins sessions and records
acts. `journeymesh keys` creates, lists, rotates and revokes, `journeymesh tenants` creates, lists, limits and deletes,
`journeymesh people` lists and ends sessions, `journeymesh sign-in` signs in the operator of a laptop, `journeymesh
audit` lists and verifies.
Without the store it answers `UNAVAILABLE`; gateways go on with the keyring they have, and each by itself with the
limits, but refuse what has to be recorded first.
"""
