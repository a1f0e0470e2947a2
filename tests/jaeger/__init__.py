"""A real Jaeger, and the story of one user as it is read back from it."""
