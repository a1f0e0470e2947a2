"""Alerts: processes, what they need, and their certificates."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import HOUR, MINUTE, Alert, Pace, Severity
from monitoring.promql import TARGET_LABELS, counted, gauge, reported, seen_within, smallest


def alerts(pace: Pace) -> tuple[Alert, ...]:
    """Those alerts."""
    answers = gauge(registry.DEPENDENCY_UP)
    is_ours = seen_within(answers, pace(HOUR))
    ends = gauge(registry.CERTIFICATE_EXPIRY).from_now()
    ends_for_clients = gauge(registry.HTTP_CERTIFICATE_EXPIRY).from_now()
    return (
        Alert(
            "JourneymeshDependencyDown",
            Severity.PAGE,
            counted(answers.by_number("==", 0), "namespace", "dependency"),
            2 * MINUTE,
            "{{ $labels.dependency }} is not reached by {{ $value }} processes of {{ $labels.namespace }}.",
            "A process that lacks what it needs is not ready and gets no requests; dispatchers wait. Nothing that was "
            "accepted is lost.",
            (
                "If all processes miss it, it is down: look at it (the store's pod, Kinesis' status).",
                "If only some do, it is the way: network policies, DNS, certificates, a node.",
                "All goes on by itself when it answers again; nothing needs a restart.",
            ),
        ),
        Alert(
            "JourneymeshProcessGone",
            Severity.TICKET,
            reported("up").by_number("==", 0).where(is_ours, *sorted(TARGET_LABELS)),
            5 * MINUTE,
            "{{ $labels.pod }} in {{ $labels.namespace }} does not report its metrics.",
            "A process reported its metrics within the last hour and is not reached now: it crashed, hangs, or was cut "
            "off. Others do its work; where there are none, another alert says what is missing.",
            (
                "`kubectl describe pod` and `logs --previous`: out of memory, a failed probe, a setting?",
                "If it runs and is ready, Prometheus is kept from it: network policy, or port 9464.",
            ),
        ),
        Alert(
            "JourneymeshCertificateEnds",
            Severity.TICKET,
            smallest(ends, "namespace", "pod").by_number("<", limits.CERTIFICATE_SECONDS),
            HOUR,
            "The certificate of {{ $labels.pod }} in {{ $labels.namespace }} ends in {{ $value | humanizeDuration }}.",
            "It should have been renewed by now. When it ends, the process can neither call nor be called.",
            (
                "`kubectl describe certificate`: why does cert-manager not renew it?",
                (
                    "If the secret holds a new one, the process should have taken it by itself: restart it, and report "
                    "that."
                ),
            ),
        ),
        Alert(
            "JourneymeshHttpCertificateEnds",
            Severity.TICKET,
            smallest(ends_for_clients, "namespace", "pod").by_number("<", limits.CERTIFICATE_SECONDS),
            HOUR,
            "The certificate that clients of {{ $labels.pod }} in {{ $labels.namespace }} see ends in "
            "{{ $value | humanizeDuration }}.",
            "It should have been renewed by now. When it ends, browsers and clients refuse to connect.",
            (
                "If the files of `JOURNEYMESH_HTTP_CERTIFICATE_FILE` and `_KEY_FILE` are old: what should renew them?",
                "If they are new, the log says why the gateway keeps the old ones: the key of another certificate?",
            ),
        ),
    )
