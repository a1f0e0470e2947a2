"""Where reports to experiments wait, and who is told."""
