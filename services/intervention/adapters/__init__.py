"""Ledger, outbox, policies and spending in memory and in Redis; channels and models at AWS; webhooks, spans, listeners.

What imports an AWS client is imported only where it is set up: `aws`, `bedrock`, `ses`, `sns`.
"""
