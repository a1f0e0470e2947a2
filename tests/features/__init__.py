"""Tests of the features service."""
