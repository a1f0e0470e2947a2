"""`journeymesh run`, `check`, `demo`, `explain`, `replay` and `policy`."""

import argparse
import asyncio
import sys
from importlib import import_module
from typing import Any, Final

_COMMANDS: Final = {
    "run": "run the whole mesh on this machine, until Ctrl-C",
    "check": "send the calculator example to a mesh, and wait for the help it brings",
    "demo": "send real journeys through the mesh and show what came of them",
    "explain": "tell why somebody was helped, or was not",
    "replay": "derive archived decisions again, and try another policy or model",
    "policy": "check a policy, or learn its priors",
}


def main() -> None:
    """Runs the command the arguments name. Only its module is loaded: others may need what is not installed here."""
    parser = argparse.ArgumentParser(
        prog="journeymesh",
        description="Sees that somebody is struggling, helps in time, and proves that the help worked.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    parsers = {name: commands.add_parser(name, help=does) for name, does in _COMMANDS.items()}
    named = next(iter(sys.argv[1:]), "")
    try:
        if named in parsers:
            command: Any = import_module(f"cli.{named}")
            if named != "run":
                command.add_arguments(parsers[named])
        arguments = parser.parse_args()
        done = command.main() if named == "run" else command.main(arguments)
        sys.exit(asyncio.run(done) if asyncio.iscoroutine(done) else done)
    except ImportError as error:
        sys.exit(f"journeymesh: `{named}` cannot be done with what is installed here: {error}.")


if __name__ == "__main__":
    main()
