"""What an experiment is, who gets which arm, and what may be concluded: pure, and free of numpy."""
