"""Two versions of the mesh side by side."""
