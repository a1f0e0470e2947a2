"""What customers bought, and what they will buy."""
