"""Traces, metrics and logs, and every name they use."""
