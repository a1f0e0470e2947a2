"""The chart: what it asks for, what it renders, who may call whom."""
