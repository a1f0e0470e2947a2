"""Scripts that run in the environments of `bench.harness.environments`, never in the mesh's own."""
