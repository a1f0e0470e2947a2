"""The access service.

Decides which keys there are and what each may do. Owns the keys, of whose texts it keeps hashes only, and when each
key was last used.
Calls nobody but its store. The gateway polls the keyring and reports uses; `journeymesh keys` creates, lists, rotates
and revokes.
Without the store it answers `UNAVAILABLE`; gateways go on with the keyring they have.
"""
