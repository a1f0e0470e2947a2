"""HTTP as the gateway speaks it: requests, answers, and the limits on them. Knows no route."""
