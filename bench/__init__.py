"""Measurements: a load generator for the whole mesh, and small benches of single parts."""
