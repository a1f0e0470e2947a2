"""The chart, its examples, and what is generated of them."""
