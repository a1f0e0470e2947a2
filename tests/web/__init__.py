"""Tracker, widget and demo in a real Chromium."""
