"""Use cases: fetch through ports, decide in the domain, record through ports."""
