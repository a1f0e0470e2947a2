"""What is asked every second leaves no trace, neither here nor in the process that is asked."""

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.rpc import channel
from tests.mesh.echo import Echo, now


async def test_calls_within_the_block_are_recorded_by_nobody_and_later_ones_are() -> None:
    exporter = InMemorySpanExporter()
    caller, callee = (telemetry.exporting(name, exporter) for name in ("caller", "callee"))
    async with (
        serving("127.0.0.1:0", [Echo("here").register()], [], {}, callee) as port,
        channel.dial(f"127.0.0.1:{port}", caller) as dialled,
    ):
        with telemetry.unrecorded():
            await now(dialled)(b"")
        for one in (caller, callee):
            one.provider.force_flush()
        assert exporter.get_finished_spans() == ()
        await now(dialled)(b"")
        for one in (caller, callee):
            one.provider.force_flush()
    assert len(exporter.get_finished_spans()) == 2


def test_without_recording_a_span_is_of_its_parent_s_trace_or_begins_one() -> None:
    tracer = telemetry.off().tracer
    given = telemetry.span_context(b"t" * 16, b"s" * 8)
    with tracer.start_as_current_span("outer", telemetry.within(given)) as outer, tracer.start_span("inner") as inner:
        spans = [outer, inner, tracer.start_span("other", telemetry.within(None))]
    found = [each.get_span_context() for each in spans]
    assert [each.trace_id.to_bytes(16, "big") == b"t" * 16 for each in found] == [True, True, False]
    assert len({each.span_id for each in found}) == 3
    assert all(each.is_valid and not each.trace_flags.sampled for each in found)
    assert not any(each.is_recording() for each in spans)
