"""Which services there are, which processes they run as, and who calls whom: the one table.

From it come the processes, addresses and ports of `make run`; the default targets in every settings.py; the services of
the chart, and with them its network policies; the images; docs/topology.md; and the calls that traces are checked for.
A new service is its folder, its proto and a row here (CONTRIBUTING, "Add a service, a process or a call").
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

LOOPBACK: Final = "127.0.0.1"
OUTSIDE: Final = ("store", "kinesis", "s3", "models", "bedrock", "ses", "sns", "webhooks")
"""Systems outside the mesh that processes may call: `s3` has the archive, `models` is a bucket of models."""


class Resources(NamedTuple):
    """Requests and limits of a process. CPU is not limited: that would delay decisions."""

    cpu_millis: int
    memory_mib: int
    memory_limit_mib: int
    temporary_size: str = ""
    """How much it may write to /tmp, as a Kubernetes quantity; empty: the chart's default."""


class Process(NamedTuple):
    """One process: a service, or one role of it."""

    name: str
    purpose: str
    port: int
    """On loopback, unless a setting says otherwise."""
    calls: tuple[str, ...]
    """Processes by name, then systems outside the mesh; all but the store only if configured."""
    resources: Resources
    role: str = ""
    """The argument that its service is started with; empty: none."""
    feeds: tuple[str, ...] = ()
    """Processes that read what it leaves on the stream; they start, and are upgraded, before it."""

    @property
    def listen_setting(self) -> str:
        """The setting that says where it listens."""
        return "JOURNEYMESH_HTTP_ADDRESS" if self.name == "gateway" else f"JOURNEYMESH_{self.name.upper()}_LISTEN"

    @property
    def address(self) -> str:
        """Where it listens by default, as `host:port`."""
        return f"{LOOPBACK}:{self.port}"


class Service(NamedTuple):
    """A service: a package, an image and one or more processes."""

    name: str
    title: str
    module: str
    processes: tuple[Process, ...]
    extras: tuple[str, ...]
    """Extras of pyproject.toml that its image installs."""
    owns: str
    """The state that only this service writes."""
    files: tuple[str, ...] = ()
    """Folders and files it reads, by their paths in the repository."""
    commands: tuple[str, ...] = ()
    """Modules that its image holds too: those of the command, for an operator, and those that are run by name."""


SERVICES: Final = (
    Service(
        "gateway",
        "REST in, gRPC out",
        "gateway",
        (
            Process(
                "gateway",
                "REST in, gRPC out; keeps nothing.",
                8080,
                (
                    "ingest",
                    "archiver",
                    "features",
                    "scoring",
                    "video",
                    "intervention",
                    "access",
                    "analytics",
                    "experiments",
                    "customers",
                ),
                Resources(100, 96, 384),
            ),
        ),
        extras=("gateway",),
        owns="nothing",
        files=("web/built",),
    ),
    Service(
        "ingest",
        "Events onto the stream, off it and into the archive",
        "services.ingest",
        (
            Process(
                "ingest",
                "Accepts events and appends them to the stream.",
                7101,
                (
                    "video",
                    "features",
                    "scoring",
                    "experiments",
                    "intervention",
                    "customers",
                    "access",
                    "store",
                    "kinesis",
                ),
                Resources(50, 80, 256),
                role="api",
                feeds=("dispatcher", "archiver"),
            ),
            Process(
                "dispatcher",
                "Takes events from the stream through the mesh. More replicas than shards are of no use.",
                7106,
                ("video", "features", "scoring", "intervention", "customers", "store", "kinesis"),
                Resources(100, 88, 384),
                role="dispatcher",
                feeds=("archiver",),
            ),
            Process(
                "archiver",
                "Writes events and decisions to the archive; not installed if `archive.url` is empty.",
                7107,
                ("intervention", "access", "store", "kinesis", "s3"),
                Resources(50, 256, 640, temporary_size="1Gi"),
                role="archiver",
            ),
        ),
        extras=("store", "ingest", "kinesis", "archive"),
        owns="event ids, receipts, failed events, device clocks, anonymous ids, leases, checkpoints, the archive",
    ),
    Service(
        "features",
        "Features and struggle signals",
        "services.features",
        (
            Process(
                "features",
                "Keeps each user's behavioural features.",
                7102,
                ("store",),
                Resources(50, 80, 256),
            ),
        ),
        extras=("store", "features"),
        owns="one state per user with sessions, the last 20 events",
    ),
    Service(
        "scoring",
        "Exit risk",
        "services.scoring",
        (
            Process(
                "scoring",
                "Estimates the risk that a user leaves.",
                7103,
                ("store", "models"),
                Resources(50, 120, 384),
            ),
        ),
        extras=("store", "scoring", "aws"),
        owns="signals and risk history per user",
        files=("models/exit-risk",),
    ),
    Service(
        "video",
        "Engagement with videos",
        "services.video",
        (
            Process(
                "video",
                "Keeps track of how videos are watched.",
                7104,
                ("store",),
                Resources(50, 80, 256),
            ),
        ),
        extras=("store", "video"),
        owns="coverage per user and video, view counts per video",
    ),
    Service(
        "intervention",
        "Decisions, and the help they bring",
        "services.intervention",
        (
            Process(
                "intervention",
                "Decides on help and delivers it.",
                7105,
                (
                    "scoring",
                    "video",
                    "customers",
                    "access",
                    "experiments",
                    "store",
                    "bedrock",
                    "ses",
                    "sns",
                    "webhooks",
                ),
                Resources(100, 96, 384),
            ),
        ),
        extras=("store", "intervention", "aws"),
        owns="one state per user, ledger, lift counts, policies, outbox, contacts, generated copy, what models cost",
        files=("policies/default.yaml",),
    ),
    Service(
        "access",
        "Who may do what",
        "services.access",
        (
            Process(
                "access",
                "Keeps the keys that callers of the gateway need, who is signed in, and the audit log.",
                7108,
                ("access", "store"),
                Resources(50, 80, 256),
            ),
        ),
        extras=("store", "access"),
        owns="keys and when they were last used, who is signed in, the audit log",
        commands=("cli.__main__", "cli.keys", "cli.tenants", "cli.people", "cli.audit"),
    ),
    Service(
        "analytics",
        "Questions about many users",
        "services.analytics",
        (
            Process(
                "analytics",
                "Answers questions about many users; not installed if `archive.url` is empty.",
                7109,
                ("ingest", "scoring", "intervention", "experiments", "store", "s3", "webhooks"),
                Resources(100, 160, 768, temporary_size="8Gi"),
            ),
        ),
        extras=("store", "analytics", "statistics", "dask"),
        owns="saved segments, incidents, releases, jobs, budgets; copies of the archive by tenant, day and user",
        commands=(
            "services.analytics.adapters.questions.worker",
            "offline.customers.job",
            "offline.customers.exporting",
        ),
    ),
    Service(
        "experiments",
        "Comparisons of ways to serve users",
        "services.experiments",
        (
            Process(
                "experiments",
                "Says who is in which arm of an experiment, and which arm is better.",
                7110,
                ("scoring", "store"),
                Resources(50, 80, 256),
            ),
        ),
        extras=("store", "experiments"),
        owns="experiments, who is in them, what came of it",
    ),
    Service(
        "customers",
        "What customers buy",
        "services.customers",
        (
            Process(
                "customers",
                "Keeps what each customer bought, and foretells what they will buy.",
                7111,
                ("store",),
                Resources(50, 96, 256),
            ),
        ),
        extras=("store", "customers"),
        owns="orders and traits of each user, what was learnt of all customers, who is in which segment",
    ),
)

PROCESSES: Final = {process.name: process for service in SERVICES for process in service.processes}


def address(process: str) -> str:
    """Where a process listens by default."""
    return PROCESSES[process].address


def service_of(process: str) -> Service:
    """The service that a process belongs to."""
    return next(service for service in SERVICES if PROCESSES[process] in service.processes)


def in_start_order() -> Iterator[Process]:
    """Every process after those it calls or feeds; calls to itself do not count. Upgrades take the same order.

    Raises:
        ValueError: processes depend on each other in a circle.
    """
    waiting = list(PROCESSES.values())
    started: set[str] = set()
    while waiting:
        process = next((each for each in waiting if before(each) <= started), None)
        if process is None:
            message = f"These depend on each other in a circle: {', '.join(each.name for each in waiting)}."
            raise ValueError(message)
        waiting.remove(process)
        started.add(process.name)
        yield process


def calls() -> frozenset[tuple[str, str]]:
    """Caller and callee of every call between processes, as `("dispatcher", "video")`."""
    return frozenset(
        (caller.name, callee) for caller in PROCESSES.values() for callee in caller.calls if callee in PROCESSES
    )


def before(process: Process) -> set[str]:
    """The processes that start before one and end after it, by name."""
    return {name for name in (*process.calls, *process.feeds) if name in PROCESSES} - {process.name}
