"""A mesh that sends e-mail, chat messages and tickets to receivers of the test, under a policy that may change."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.e2e.following import be_welcomed_by, kill, receiving, until
from tests.e2e.journeys import Journey, journey
from tests.intervention.receiver import SILENCE, Answer, Receiver
from tests.processes import RunningMesh, running_mesh

KEY: Final = "signs posts"
ADDRESS: Final = "ada@example.org"
JSON: Final = {"Content-Type": "application/json"}
TAKEN: Final = Answer(200, JSON, b'{"MessageId": "m-1"}')
THROTTLED: Final = Answer(429, JSON | {"x-amzn-ErrorType": "TooManyRequestsException"}, b'{"message": "no"}')
POLICIES: Final = Path(__file__).parents[2] / "policies"


class Channels(NamedTuple):
    """The mesh, the file of its policy, a folder with all policies it has had, and who receives its messages."""

    mesh: RunningMesh
    policy: Path
    policies: Path
    archive: str
    ses: Receiver
    chat: Receiver
    ticket: Receiver

    def put(self, document: str, name: str) -> None:
        """Gives the mesh another policy, and keeps it."""
        (self.policies / name).write_text(document)
        self.policy.write_text(document)


class Doubt(NamedTuple):
    """Interventions whose messages were under way, or about to be sent again, when the service was killed."""

    mailed: str
    ticketed: str
    mailed_again: str
    chatted_again: str


def at_any_hour(name: str) -> str:
    """A policy of ours without what the time of day changes."""
    document = (POLICIES / name).read_text()
    lines = [each for each in document.splitlines() if not each.startswith("quiet_hours:")]
    return "\n".join(lines).replace("in_office_hours: true", "in_office_hours: false") + "\n"


@contextlib.contextmanager
def helping(folder: Path) -> Iterator[Channels]:
    """The mesh, within the block."""
    (folder / "secret").write_text(KEY)
    (folder / "policies").mkdir()
    with contextlib.ExitStack() as stack:
        ses, chat, ticket = (stack.enter_context(receiving()) for _ in range(3))
        ses.script = [TAKEN] * 20
        settings = {
            "JOURNEYMESH_POLICY": str(folder / "policy.yaml"),
            "JOURNEYMESH_EMAIL": "ses",
            "JOURNEYMESH_EMAIL_FROM": "help@example.org",
            "JOURNEYMESH_CHAT": "webhook",
            "JOURNEYMESH_CHAT_URL": chat.url,
            "JOURNEYMESH_TICKET": "webhook",
            "JOURNEYMESH_TICKET_URL": ticket.url,
            "JOURNEYMESH_WEBHOOK_SECRET_FILE": str(folder / "secret"),
            "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5",
            "AWS_ENDPOINT_URL": ses.url.rpartition("/")[0],
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for path in (folder / "policy.yaml", folder / "policies" / "first.yaml"):
            path.write_text(at_any_hour("default.yaml"))
        mesh = stack.enter_context(running_mesh(folder, **settings))
        archive = (folder / "var" / "archive").as_uri()
        yield Channels(mesh, folder / "policy.yaml", folder / "policies", archive, ses, chat, ticket)


def helped_by(channels: Channels, channel: str, **contact: str) -> Journey:
    """A user who was just helped by a channel."""
    one = journey(channels.mesh)
    one.send(one.event(-7 * 24 * 3600, "identify", **contact))
    be_welcomed_by(one, channel)
    return one


def intervention_of(one: Journey) -> str:
    """The help that waits for a user."""
    intervention = one.pending()
    assert intervention is not None
    return str(intervention["id"])


def delivery(mesh: RunningMesh, intervention_id: str) -> dict[str, Any]:
    """How far the one message of an intervention has come."""
    (found,) = mesh.get(f"/api/interventions/{intervention_id}").body["deliveries"]
    return dict(found)


def ended(mesh: RunningMesh, intervention_id: str, patience_seconds: float = 30) -> dict[str, Any]:
    """The delivery of an intervention's one message, once it has come to an end."""

    def found() -> dict[str, Any] | None:
        now = delivery(mesh, intervention_id)
        return now if now["state"] != "waiting" else None

    return until(found, "the message still waits", patience_seconds)


def leave_in_doubt(channels: Channels) -> Doubt:
    """Kills the service while an e-mail and a ticket are under way, and another e-mail and a chat wait for a retry."""
    mesh, held = channels.mesh, Answer(SILENCE)
    channels.ses.script[:0] = [held, THROTTLED]
    channels.ticket.script.append(held)
    channels.chat.script.append(Answer(503, {"Retry-After": "5"}))
    before = len(channels.ses.received), len(channels.ticket.received)
    made = [intervention_of(helped_by(channels, channel, email=ADDRESS)) for channel in ("email", "ticket", "chat")]
    until(
        lambda: (len(channels.ses.received), len(channels.ticket.received)) == (before[0] + 1, before[1] + 1), "no try"
    )
    again = intervention_of(helped_by(channels, "email", email=ADDRESS))
    until(lambda: delivery(mesh, again)["reason"] and delivery(mesh, made[2])["reason"], "nothing was refused")
    kill(mesh, "intervention")
    until(mesh.is_ready, "the mesh is not ready again")
    return Doubt(made[0], made[1], again, made[2])
