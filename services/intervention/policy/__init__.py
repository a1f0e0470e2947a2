"""When and how to help: the policy, its YAML document, and the timeline of versions."""
