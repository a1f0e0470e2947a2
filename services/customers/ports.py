"""The use cases need the ports of `mesh.state` only."""
