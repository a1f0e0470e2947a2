"""The customers service.

Turns purchases and refunds into what each customer bought, and foretells from that what they will buy, by what
`journeymesh customers --fit` learnt of all customers. Owns the purchase history of each user, the traits that were
declared, who is in which segment, and for a day the last file of all customers. Calls nobody but its store. The
dispatcher calls it last, with each batch that holds purchases or traits; the gateway reads, and intervention to analyze
a user; ingest erases and exports people. Without the store it answers `UNAVAILABLE`; the dispatcher retries the batch.
"""
