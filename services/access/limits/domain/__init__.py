"""Pure arithmetic of limits."""
