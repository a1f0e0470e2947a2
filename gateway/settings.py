"""The gateway's settings, read from its environment."""

import dataclasses
import ipaddress

import topology
from gateway.http import addresses, cors
from gateway.transport import certificate
from mesh.observability.log import LogSettings
from mesh.observability.telemetry import TelemetrySettings
from mesh.settings import SettingError, setting

__all__ = ["LogSettings", "Settings", "TelemetrySettings"]

_PAGES = frozenset({"app", "demo", "docs"})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the gateway listens, whom it calls and how much it takes."""

    address: str = setting(
        "JOURNEYMESH_HTTP_ADDRESS", topology.address("gateway"), "Where the gateway listens for HTTP."
    )
    certificate_file: str = setting(
        "JOURNEYMESH_HTTP_CERTIFICATE_FILE",
        "",
        "With the key file: serves HTTPS, by TLS 1.2 or newer, instead of HTTP. The certificate and the chain up to "
        "the authority, as PEM. May be renewed in place.",
    )
    key_file: str = setting(
        "JOURNEYMESH_HTTP_KEY_FILE", "", "The private key of the certificate that clients see, as PEM, not encrypted."
    )
    keys: str = setting(
        "JOURNEYMESH_KEYS",
        "none",
        "Whether requests need a key. With `none` the gateway listens on loopback only; `elsewhere` says that what "
        "stands before it checks who calls, such as a proxy or a network policy.",
        choices=("none", "elsewhere", "required"),
    )
    oidc_issuer: str = setting(
        "JOURNEYMESH_OIDC_ISSUER",
        "",
        "The OpenID provider that people sign in with; empty: the operator of "
        "this machine signs in by `journeymesh sign-in`, nobody else.",
    )
    oidc_client_id: str = setting("JOURNEYMESH_OIDC_CLIENT_ID", "", "How the provider knows the mesh.")
    oidc_client_secret_file: str = setting(
        "JOURNEYMESH_OIDC_CLIENT_SECRET_FILE", "", "File that holds the secret the provider gave to the mesh."
    )
    oidc_groups_claim: str = setting(
        "JOURNEYMESH_OIDC_GROUPS_CLAIM", "groups", "The claim of identity tokens that holds a person's groups."
    )
    oidc_roles: str = setting(
        "JOURNEYMESH_OIDC_ROLES",
        "",
        "What the provider's groups may do: `role=group`, or `tenant:role=group`, separated by commas. Roles are "
        "viewer, analyst, operator, privacy and admin. Example: `admin=mesh-admins,acme:analyst=acme-growth`.",
    )
    public_url: str = setting(
        "JOURNEYMESH_PUBLIC_URL", "", "Where browsers reach the gateway, to lead people back after signing in."
    )
    session_secret_file: str = setting(
        "JOURNEYMESH_SESSION_SECRET_FILE",
        "",
        "File that holds the secret which signs people's sessions, 32 characters or more; the same for all gateways. "
        "Without a provider it may be empty: then a gateway draws one, and sessions end with the gateway.",
    )
    access: str = setting("JOURNEYMESH_ACCESS_TARGET", topology.address("access"), "Where the access service is.")
    ingest: str = setting("JOURNEYMESH_INGEST_TARGET", topology.address("ingest"), "Where the ingest service is.")
    archiver: str = setting(
        "JOURNEYMESH_ARCHIVER_TARGET", topology.address("archiver"), "Where the archiver is, if there is an archive."
    )
    features: str = setting(
        "JOURNEYMESH_FEATURES_TARGET", topology.address("features"), "Where the features service is."
    )
    scoring: str = setting("JOURNEYMESH_SCORING_TARGET", topology.address("scoring"), "Where the scoring service is.")
    video: str = setting("JOURNEYMESH_VIDEO_TARGET", topology.address("video"), "Where the video service is.")
    intervention: str = setting(
        "JOURNEYMESH_INTERVENTION_TARGET", topology.address("intervention"), "Where the intervention service is."
    )
    analytics: str = setting(
        "JOURNEYMESH_ANALYTICS_TARGET", topology.address("analytics"), "Where the analytics service is."
    )
    experiments: str = setting(
        "JOURNEYMESH_EXPERIMENTS_TARGET", topology.address("experiments"), "Where the experiments service is."
    )
    customers: str = setting(
        "JOURNEYMESH_CUSTOMERS_TARGET", topology.address("customers"), "Where the customers service is."
    )
    cors_origins: str = setting(
        "JOURNEYMESH_CORS_ORIGINS",
        "",
        "Origins whose pages may call the gateway, separated by commas, or `*`. A host may begin with `*.`, a port be "
        "`*`. Example: `https://shop.example`.",
    )
    waiting_bytes: int = setting(
        "JOURNEYMESH_WAITING_BYTES",
        4_194_304,
        "Bytes of events that may wait for ingest, about a second of its work; beyond it requests are answered 503.",
        minimum=1_048_576,
        maximum=1_073_741_824,
    )
    wait_milliseconds: int = setting(
        "JOURNEYMESH_WAIT_MILLISECONDS",
        1000,
        "How long events may wait for ingest before further requests are answered 503.",
        minimum=100,
        maximum=10_000,
    )
    request_count: int = setting(
        "JOURNEYMESH_REQUEST_COUNT",
        2048,
        "The most requests under way at once; beyond it they are answered 503.",
        minimum=1,
        maximum=100_000,
    )
    request_bytes: int = setting(
        "JOURNEYMESH_REQUEST_BYTES",
        67_108_864,
        "The most bytes of the bodies of requests under way, and of large answers that are not read yet; beyond it "
        "requests are answered 503.",
        minimum=1_048_576,
        maximum=1_073_741_824,
    )
    body_seconds: int = setting(
        "JOURNEYMESH_BODY_SECONDS",
        10,
        "Within how many seconds a request must have come: its head, and then its body; before them, a TLS handshake. "
        "After half of them, 5 at most, it must have come at 512 bytes a second.",
        minimum=1,
        maximum=300,
    )
    connection_count: int = setting(
        "JOURNEYMESH_CONNECTION_COUNT",
        4096,
        "The most open connections; beyond it they are answered 503 and closed. Open files may bound it further.",
        minimum=1,
        maximum=100_000,
    )
    leave_seconds: int = setting(
        "JOURNEYMESH_LEAVE_SECONDS",
        2,
        "How long a gateway that is told to end goes on serving clients who hold a connection: with its next answer "
        "each is told to leave. Not longer than there are any.",
        minimum=0,
        maximum=300,
    )
    rpc_events: int = setting(
        "JOURNEYMESH_RPC_EVENTS",
        2000,
        "The most events that are joined into one RPC to ingest.",
        minimum=500,
        maximum=5000,
    )
    stream_count: int = setting(
        "JOURNEYMESH_STREAM_COUNT",
        1000,
        "The most open streams and sockets; beyond it they are answered 503.",
        minimum=1,
        maximum=100_000,
    )
    user_stream_count: int = setting(
        "JOURNEYMESH_USER_STREAM_COUNT",
        32,
        "The most open streams and sockets of one user, on all devices; beyond it they are answered 429.",
        minimum=1,
        maximum=100_000,
    )
    address_percent: int = setting(
        "JOURNEYMESH_ADDRESS_PERCENT",
        50,
        "How much of each bound one address may take, in percent: of connections (closed beyond it), of requests, "
        "bytes and streams (answered 429 beyond it). An address of IPv6 stands for its /64.",
        minimum=1,
        maximum=100,
    )
    tenant_percent: int = setting(
        "JOURNEYMESH_TENANT_PERCENT",
        50,
        "How much of each bound one tenant may take, in percent: of requests, bytes and streams (answered 429 beyond "
        "it). The default tenant may take everything.",
        minimum=1,
        maximum=100,
    )
    tenant_rate: int = setting(
        "JOURNEYMESH_TENANT_RATE",
        2000,
        "How much a tenant may send and ask for that has no rate of its own, with all its keys and over all gateways: "
        "events and other requests per second, and twice that at once. 0: no limit. The default tenant has none.",
        minimum=0,
        maximum=1_000_000,
    )
    trusted_proxies: str = setting(
        "JOURNEYMESH_TRUSTED_PROXIES",
        "",
        "Proxies in front of the gateway, as addresses and networks separated by commas. A request is counted for the "
        "last address they tell that is none of them. Example: `10.1.0.0/16,fd00::/8`.",
    )
    proxy_header: str = setting(
        "JOURNEYMESH_PROXY_HEADER",
        "x-forwarded-for",
        "How the trusted proxies tell for whom they ask. Whatever else a client sends is not believed.",
        choices=("x-forwarded-for", "forwarded"),
    )

    pages: str = setting(
        "JOURNEYMESH_PAGES",
        "app,demo,docs",
        "Which pages are served to browsers, separated by commas: `app`, the dashboard; `demo`, the demo shop, which "
        "needs a gateway that asks for no keys; `docs`, the contract.",
    )

    def __post_init__(self) -> None:
        """Checks what no limit can express.

        Raises:
            SettingError: a page is unknown, an origin or a proxy is invalid, or a certificate lacks its key.
        """
        if unknown := sorted(set(filter(None, self.pages.split(","))) - _PAGES):
            message = f"JOURNEYMESH_PAGES must name some of {', '.join(sorted(_PAGES))}, not {unknown[0]!r}."
            raise SettingError(message)
        if bool(self.certificate_file) != bool(self.key_file):
            raise SettingError("JOURNEYMESH_HTTP_CERTIFICATE_FILE and _KEY_FILE go together: both or none.")
        if self.certificate_file:
            certificate.read(self.certificate_file, self.key_file)
        try:
            cors.origins(self.cors_origins)
        except cors.NoOrigin as error:
            message = f"JOURNEYMESH_CORS_ORIGINS must name origins such as https://shop.example, not {str(error)!r}."
            raise SettingError(message) from None
        try:
            addresses.proxies(self.trusted_proxies, self.proxy_header)
        except addresses.NoNetwork as error:
            message = f"JOURNEYMESH_TRUSTED_PROXIES must name networks such as 10.1.0.0/16, not {str(error)!r}."
            raise SettingError(message) from None

    @property
    def served_pages(self) -> frozenset[str]:
        """The pages that are served; the demo sends no key, so it is not where one is required."""
        return frozenset(self.pages.split(",")) - ({"demo"} if self.keys == "required" else frozenset())

    @property
    def proxies(self) -> addresses.Proxies:
        """The trusted proxies."""
        return addresses.proxies(self.trusted_proxies, self.proxy_header)

    @property
    def is_tls(self) -> bool:
        """Whether clients are served over TLS."""
        return bool(self.certificate_file)

    @property
    def is_local(self) -> bool:
        """Whether the gateway can be reached from this machine only; any name but `localhost` counts as public."""
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False
