"""What the gateway promises: what a route is, and the documents generated from the table of routes."""
