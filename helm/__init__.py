"""The chart, its examples, and the generator of their generated parts."""
