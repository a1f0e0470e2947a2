"""Where the chain is kept, and its heads."""
