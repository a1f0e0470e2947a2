"""What stands in an image, and that it runs there."""
