"""Composition root of the experiments service."""
