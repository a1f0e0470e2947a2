"""None of its own: `mesh.states` keeps the state, in memory or in Redis."""
