"""State by key: the port, its adapters `memory` and `redis`, and effects once."""
