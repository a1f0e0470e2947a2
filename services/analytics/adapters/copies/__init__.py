"""The copies of the archive: made, followed, and listed in a manifest."""
