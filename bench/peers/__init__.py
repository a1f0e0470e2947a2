"""What runs in the environments of others (`bench.harness.environments`), never in the mesh's own."""
