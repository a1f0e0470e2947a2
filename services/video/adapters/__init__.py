"""No adapters of its own: `mesh.state` keeps state and shards, in memory or in Redis."""
