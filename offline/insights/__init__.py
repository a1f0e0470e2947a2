"""What is unusual about a metric: the same judgement for each bucket that a live watch would have made."""
