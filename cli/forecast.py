"""What retention will delete, as a table."""

from typing import Any

from rich.console import Console
from rich.table import Table

from cli.terminal import plain


def print_forecast(said: dict[str, Any], console: Console) -> None:
    """Prints what the gateway says of retention on a day."""
    columns = ("tenant", "kind", "kept", "from", "rows", "bytes", "deleted", "rewritten")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), caption="Deleted and rewritten are files.")
    for each in said["expiries"]:
        kept = f"{each['days']} days" if each["days"] else "for good"
        counts = (each[name] for name in ("rowCount", "byteCount", "deletedFileCount", "rewrittenFileCount"))
        table.add_row(
            plain(each["tenant"] or "default"), each["kind"], kept, each["firstKeptDay"], *(f"{n:,}" for n in counts)
        )
    console.print(table)
    files = said["files"]
    if files:
        console.print(
            f"On {said['on']} (UTC), {files['deletedCount']:,} files with {files['deletedBytes']:,} bytes are deleted, "
            f"and {files['rewrittenCount']:,} with {files['rewrittenBytes']:,} bytes are rewritten."
        )
