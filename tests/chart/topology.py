"""Who calls whom, as the chart declares it: `services.<name>.calls` of helm/journeymesh/values.yaml."""

from helm import render


def edges() -> frozenset[tuple[str, str]]:
    """Caller and callee of every call between processes, by the chart's names, as ("dispatcher", "video")."""
    services = render.values()["services"]
    return frozenset(
        (caller, callee) for caller, own in services.items() for callee in own["calls"] if callee in services
    )


def traced_edges() -> frozenset[tuple[str, str]]:
    """The same by the names in traces, without their prefix: ("ingest-dispatcher", "video")."""
    services = render.values()["services"]
    names = {name: "-".join([own["image"], *own.get("arguments", [])]) for name, own in services.items()}
    return frozenset((names[caller], names[callee]) for caller, callee in edges())
