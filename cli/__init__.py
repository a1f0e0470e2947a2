"""The `journeymesh` command: a thin client of the gateway, the services and the offline commands."""
