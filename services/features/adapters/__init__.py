"""No adapters of its own: `mesh.state` keeps the state, in memory or in Redis."""
