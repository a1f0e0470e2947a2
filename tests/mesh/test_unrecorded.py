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
