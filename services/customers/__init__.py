"""The customers service.

Decides nothing; turns purchases and refunds into what each customer bought. Owns the purchase history of each user.
"""
