"""Tests of Journeymesh."""
