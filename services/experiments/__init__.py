"""Which of two ways serves users better: experiments, who is in which arm, and what came of it."""
