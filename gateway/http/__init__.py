"""HTTP as the gateway speaks it: connections, requests, answers, and the limits on all of them. Knows no route."""
