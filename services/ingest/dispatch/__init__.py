"""The dispatcher: takes accepted events through the mesh, batch by batch."""
