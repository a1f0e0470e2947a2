"""What can be set of the intervention service. The policy cannot: it is versioned with the code."""

import dataclasses

from mesh.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the intervention service."""

    listen: str = setting(
        "JOURNEYMESH_INTERVENTION_LISTEN", "127.0.0.1:7105", "Where the intervention service listens."
    )
    redis_url: str = setting("JOURNEYMESH_REDIS_URL", "redis://127.0.0.1:7100/0", "The Redis all state stands in.")
    redis_password_file: str = setting(
        "JOURNEYMESH_REDIS_PASSWORD_FILE", "", "File that holds the password of Redis; empty: none is needed."
    )
    ledger_lifetime_seconds: int = setting(
        "JOURNEYMESH_LEDGER_LIFETIME_SECONDS", 86_400, "How long decisions can be read.", minimum=60
    )
    intervention_lifetime_seconds: int = setting(
        "JOURNEYMESH_INTERVENTION_LIFETIME_SECONDS",
        30 * 86_400,
        "How long an intervention can be read, and what a user's outcomes taught is kept after the last of them.",
        minimum=3_600,
    )
    watch_poll_seconds: float = setting(
        "JOURNEYMESH_WATCH_POLL_SECONDS",
        2.0,
        "How often one who watches looks for changes that another replica made.",
        minimum=0.05,
    )
    watch_limit: int = setting(
        "JOURNEYMESH_WATCH_LIMIT", 10_000, "How many may watch at a time in one process.", minimum=1
    )
