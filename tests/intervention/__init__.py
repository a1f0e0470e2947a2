"""Tests of the intervention service."""
