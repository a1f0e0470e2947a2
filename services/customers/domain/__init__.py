"""What a customer is."""
