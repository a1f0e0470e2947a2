"""Kill -9 on every process of the mesh, under load."""
