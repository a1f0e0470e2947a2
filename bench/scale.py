"""Writes docs/scale.md: what a million events per second would take, calculated from bench/figures.json.

Run `python -m bench.scale` after `python -m bench --keep-figures` has measured.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from bench.__main__ import FIGURES
from mesh.store.redis import PARTITION_COUNT

PAGE: Final = Path(__file__).parents[1] / "docs" / "scale.md"
_EVENTS: Final = 1_000_000
_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR
# List prices of us-east-1 on demand in US dollars, as known to the authors in 2025 from the services' pricing pages.
_PRICES: Final = {
    "a vCPU for an hour (c7g)": 0.0363,
    "a shard of Kinesis for an hour": 0.015,
    "a million PUT payload units of Kinesis (25 KB each)": 0.014,
    "a GiB of ElastiCache for Valkey for an hour (r7g)": 0.0133,
    "a GB in S3 for a month": 0.023,
    "a GB through a network load balancer": 0.006,
}
_VCPU, _SHARD, _PUT, _MEMORY, _FILES, _BALANCER = _PRICES.values()
# Assumptions that no bench measures.
_BUSY: Final = 0.6  # of a vCPU at most, to survive a peak and the loss of a zone
_RECORD_BYTES: Final = 300  # of an event on the stream, with real addresses and names
_BODY_BYTES: Final = 400  # of an event as it is posted
_EVENTS_PER_RECORD: Final = 60
_IDS_DAYS: Final = 1.5  # ids are kept for one to two days
_USERS: Final = 50_000_000
_PRIMARY_GIB: Final = 100
_SHARD_BYTES_PER_SECOND: Final = 1_000_000
_SHARD_RECORDS_PER_SECOND: Final = 1_000
_CONSUMER_GROUPS: Final = 2  # dispatchers and archivers, which share 2 MB/s of a shard
_FILES_MONTHS: Final = 1
_PAGE: Final = """\
# A million events per second

This is a calculation, not a measurement: it multiplies figures of a small machine. Nobody has run the mesh at this
rate. `python -m bench.scale` writes this page from `bench/figures.json`, which `python -m bench --keep-figures` writes.

## Measured figures

| figure | value |
|---|---|
{figures}

CPU is in µs per event for the whole chain (100 events per request, runs of 5, more offered than the mesh accepts);
`taken` is in events per second for the whole machine.

## What it takes

| part | size | $ per hour | $ per million events |
|---|---|---|---|
{bill}

## The bottlenecks

The largest part of the bill is: {largest}.

**The memory of the stores** comes first: {gib:,.0f} GiB without replicas, nearly all of it for one to two days of ids
and one day of the ledger. Commands alone would keep only {by_cpu:,.0f} primaries busy. If the ledger is kept for an
hour (`JOURNEYMESH_LEDGER_LIFETIME_SECONDS=3600`; the archive has the decisions), the stores need {hour_gib:,.0f} GiB
and cost ${hour_dollars:,.2f} per hour.

**The number of partitions** limits the mesh well below that. Keys of users and ids carry one of {tags} hash tags, so
the mesh cannot use more than {tags} primaries: at {primary_gib} GiB each, their memory is enough for {tagged:,.0f}
events per second. More hash tags would move all stored keys.

**A single store** without a cluster limits the mesh much earlier: it executes commands on one thread, for at most
{most:,.0f} events per second.

**Kinesis** is next: it takes {shards:,} shards, because a shard accepts 1 MB/s and gives its {consumers} consumer
groups 2 MB/s together. The number of ordering groups (`JOURNEYMESH_LANE_COUNT`) limits the useful shards to 1,024,
and an account's default quota is lower.

## Assumptions

- A vCPU is as fast as a core of the machine that measured, and is {busy:.0%} busy. CPU per event does not change
  with the number of replicas; batches stay as large.
- An event has {body_bytes} bytes as posted and {record_bytes} on the stream. A record holds {per_record} events. There
  are {users:,} users.
- Ids are kept for {ids_days} days. Every primary has {primary_gib} GiB and a replica.
- Traffic between zones, logs, metrics, the control plane and support are not included.
- The stores are a cluster.

## Prices

List prices of us-east-1 on demand in US dollars, as the authors knew the services' pricing pages in 2025. **Check
them before you rely on them**; reserved capacity costs about half.

| what | $ |
|---|---|
{prices}
"""


class Part(NamedTuple):
    """One part of the bill."""

    name: str
    size: str
    dollars_per_hour: float


def parts(figures: Mapping[str, float]) -> list[Part]:
    """The parts of the bill, in the order of an event's path."""
    cores = {name.removeprefix("cpu "): micros for name, micros in figures.items() if name.startswith("cpu ")}
    cores.pop("of a single event", None)
    processes = sum(micros for name, micros in cores.items() if name != "store") * _EVENTS / 1e6 / _BUSY
    shards = shard_count()
    primaries, gib = primary_count(figures), memory_gib(figures)
    posted = _BODY_BYTES * _EVENTS / 1e9
    puts = _EVENTS * _HOUR / 1e6 / _EVENTS_PER_RECORD
    archived = figures["archive bytes per event"] * _EVENTS * _HOUR / 1e9
    return [
        Part("load balancer", f"{posted * 1_000:,.0f} MB/s", posted * _HOUR * _BALANCER),
        Part("processes on Kubernetes", f"{processes:,.0f} vCPU", processes * _VCPU),
        Part("Kinesis, shards", f"{shards:,} shards", shards * _SHARD),
        Part("Kinesis, records", f"{_EVENTS / _EVENTS_PER_RECORD:,.0f} records/s", puts * _PUT),
        Part("stores", f"{primaries:,} primaries and replicas, {2 * gib:,.0f} GiB", 2 * gib * _MEMORY),
        Part("archive on S3, a month", f"{archived:,.0f} GB per hour", archived * _FILES * _FILES_MONTHS),
    ]


def shard_count() -> int:
    """Shards of Kinesis: by bytes or records, whichever needs more, plus half for uneven load."""
    by_bytes = _EVENTS * _RECORD_BYTES / _SHARD_BYTES_PER_SECOND
    by_records = _EVENTS / _EVENTS_PER_RECORD / _SHARD_RECORDS_PER_SECOND
    return math.ceil(1.5 * max(by_bytes, by_records))


def memory_gib(figures: Mapping[str, float], ledger_seconds: float = _DAY) -> float:
    """The data of all primaries in GiB: ids, the ledger, and users' states."""
    ids = figures["bytes per event of ids"] * _EVENTS * _IDS_DAYS * _DAY
    ledger = figures["bytes per event of the ledger"] * _EVENTS * ledger_seconds
    return (ids + ledger + figures["bytes per user"] * _USERS) / 2**30


def primary_count(figures: Mapping[str, float]) -> int:
    """Primaries of the store, by memory or CPU, whichever needs more; each executes commands on one thread."""
    by_cpu = figures["cpu store"] * _EVENTS / 1e6 / _BUSY
    return math.ceil(max(memory_gib(figures) / _PRIMARY_GIB, by_cpu))


def page(figures: Mapping[str, float]) -> str:
    """The text of docs/scale.md."""
    bill = parts(figures)
    total = sum(part.dollars_per_hour for part in bill)
    return _PAGE.format(
        figures="\n".join(f"| {name} | {figure:,.4g} |" for name, figure in sorted(figures.items())),
        bill="\n".join(map(_row, [*bill, Part("all", "", total)])),
        largest=max(bill, key=lambda part: part.dollars_per_hour).name,
        gib=memory_gib(figures),
        by_cpu=figures["cpu store"] * _EVENTS / 1e6 / _BUSY,
        hour_gib=memory_gib(figures, _HOUR),
        hour_dollars=2 * memory_gib(figures, _HOUR) * _MEMORY,
        most=1e6 / figures["cpu store"],
        tags=PARTITION_COUNT,
        tagged=PARTITION_COUNT * _PRIMARY_GIB / memory_gib(figures) * _EVENTS,
        shards=shard_count(),
        consumers=_CONSUMER_GROUPS,
        busy=_BUSY,
        body_bytes=_BODY_BYTES,
        record_bytes=_RECORD_BYTES,
        per_record=_EVENTS_PER_RECORD,
        users=_USERS,
        ids_days=_IDS_DAYS,
        primary_gib=_PRIMARY_GIB,
        prices="\n".join(f"| {name} | {price:g} |" for name, price in _PRICES.items()),
    )


def _row(part: Part) -> str:
    per_million = part.dollars_per_hour / (_EVENTS * _HOUR) * 1e6
    return f"| {part.name} | {part.size} | {part.dollars_per_hour:,.2f} | {per_million:.4f} |"


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(json.loads(FIGURES.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
