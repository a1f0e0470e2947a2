"""The use cases need the port of `mesh.state` only."""
