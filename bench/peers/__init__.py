"""What runs in the environments of others (`bench.environments`), never in the mesh's own."""
