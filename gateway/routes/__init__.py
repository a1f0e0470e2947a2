"""The REST surface: `table` lists the routes, `router` finds one, the other modules say what each of them does."""
