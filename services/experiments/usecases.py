"""What callers want of the experiments service."""
