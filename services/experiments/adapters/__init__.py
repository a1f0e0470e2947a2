"""Where experiments are kept."""
