"""Tests of the experiments service."""
