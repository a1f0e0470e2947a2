"""The verbs of the intervention service: fetch through ports, decide in the domain, record through ports."""
