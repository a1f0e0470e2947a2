"""What the use cases need from outside: `mesh.state.StateStore` and `mesh.state.Shards`, and nothing beyond them."""
