"""The whole mesh as processes: REST in, interventions out."""
