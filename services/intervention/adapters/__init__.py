"""The ledger in memory and in Redis, listeners of this process, and the witness that writes spans."""
