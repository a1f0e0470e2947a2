"""What happens now, for those who watch: struggle, decisions and outcomes, a moment after they are recorded."""
