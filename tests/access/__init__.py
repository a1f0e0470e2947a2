"""Tests of the access service."""
