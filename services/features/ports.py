"""What the use cases need from outside: `mesh.state.StateStore`, and nothing beyond it."""
