"""Alerts: processes, what they need, and their certificates."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import HOUR, MINUTE, Alert, Severity, TimeScale
from monitoring.promql import TARGET_LABELS, counted, gauge, reported, seen_within, smallest


def alerts(scale: TimeScale) -> tuple[Alert, ...]:
    """The alerts of this group."""
    answers = gauge(registry.DEPENDENCY_UP)
    is_ours = seen_within(answers, scale(HOUR))
    ends = gauge(registry.CERTIFICATE_EXPIRY).from_now()
    ends_for_clients = gauge(registry.HTTP_CERTIFICATE_EXPIRY).from_now()
    return (
        Alert(
            "JourneymeshDependencyDown",
            Severity.PAGE,
            counted(answers.by_number("==", 0), "namespace", "dependency"),
            2 * MINUTE,
            "{{ $value }} processes of {{ $labels.namespace }} cannot reach {{ $labels.dependency }}.",
            "A process that cannot reach a dependency is not ready and gets no requests; dispatchers wait. Accepted "
            "events are not lost.",
            (
                "If no process reaches it, it is down: check it (the store's pod, Kinesis' status).",
                "If only some cannot, check the network in between: network policies, DNS, certificates, a node.",
                "Everything resumes once it answers; no restart is necessary.",
            ),
        ),
        Alert(
            "JourneymeshProcessGone",
            Severity.TICKET,
            reported("up").by_number("==", 0).where(is_ours, *sorted(TARGET_LABELS)),
            5 * MINUTE,
            "{{ $labels.pod }} in {{ $labels.namespace }} does not report its metrics.",
            "A process reported its metrics within the last hour and cannot be reached now: it crashed, hangs, or was "
            "cut off. Other replicas do its work; if there are none, another alert fires.",
            (
                "`kubectl describe pod` and `logs --previous`: out of memory, a failed probe, a setting?",
                "If it is running and ready, something blocks Prometheus: a network policy, or port 9464.",
            ),
        ),
        Alert(
            "JourneymeshCertificateEnds",
            Severity.TICKET,
            smallest(ends, "namespace", "pod").by_number("<", limits.CERTIFICATE_SECONDS),
            HOUR,
            "The certificate of {{ $labels.pod }} in {{ $labels.namespace }} ends in {{ $value | humanizeDuration }}.",
            "It should have been renewed by now. Once it expires, the process can neither call nor be called.",
            (
                "`kubectl describe certificate`: why does cert-manager not renew it?",
                ("If the secret holds a new one, the process should have loaded it: restart it, and report a bug."),
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
