"""None of its own: `mesh.states` keeps state and shards, in memory or in Redis."""
