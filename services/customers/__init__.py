"""The customers service.

Decides nothing; turns purchases and refunds into what each customer bought. Owns the purchase history of each user,
and the traits that were declared. Calls nobody but its store. The dispatcher calls it last, with each batch that holds
purchases or traits; the gateway reads. Without the store it answers `UNAVAILABLE`; the dispatcher retries the batch.
"""
