"""The known shards in memory and in Redis."""
