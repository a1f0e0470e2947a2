"""Tests of the video service."""
