"""What the benches share: sides that are measured, the load, the clock, the report."""
