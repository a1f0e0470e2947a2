"""Settings of the access service."""

import dataclasses
from typing import Final

import topology
from mesh.settings import SettingError, setting

_DAY_SECONDS: Final = 86_400


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the access service."""

    listen: str = setting("JOURNEYMESH_ACCESS_LISTEN", topology.address("access"), "Where the access service listens.")
    keys_folder: str = setting(
        "JOURNEYMESH_KEYS_FOLDER",
        "",
        "A folder of files that hold the texts of secret and admin keys, which are taken at the start, each once; a "
        "key is called like its file. Empty: none.",
    )
    audit_lifetime_seconds: int = setting(
        "JOURNEYMESH_AUDIT_LIFETIME_SECONDS",
        400 * _DAY_SECONDS,
        "How long entries of the audit log are kept.",
        minimum=_DAY_SECONDS,
    )
    audit_heads_file: str = setting(
        "JOURNEYMESH_AUDIT_HEADS_FILE",
        "",
        "File to which signed heads of the audit log are appended; on another volume than the store, or shipped "
        "elsewhere. Empty: none are signed.",
    )
    audit_key_file: str = setting(
        "JOURNEYMESH_AUDIT_KEY_FILE",
        "",
        "The private key that signs them, Ed25519 in PEM; made at the first start if the file is missing.",
    )

    def __post_init__(self) -> None:
        """Raises `SettingError` if heads are to be signed without a key."""
        if self.audit_heads_file and not self.audit_key_file:
            raise SettingError("JOURNEYMESH_AUDIT_HEADS_FILE needs JOURNEYMESH_AUDIT_KEY_FILE.")
