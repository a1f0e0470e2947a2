"""What help changed: treated users against the holdout."""
