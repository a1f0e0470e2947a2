"""The life of a process: start, health, probes, drain, end."""
