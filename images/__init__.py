"""The images: what is in each (contents), how it gets there (gather), and how they are built (build, base, sizes)."""
