"""The verbs of the experiments service."""
