"""Help pushed to clients as it comes up: server-sent events, WebSockets, and the watch that feeds both."""
