"""`journeymesh run` and `journeymesh demo`."""

import argparse
import asyncio
import sys

from cli import demo, run


def main() -> None:
    """Runs the command the arguments name."""
    parser = argparse.ArgumentParser(
        prog="journeymesh",
        description="Sees that somebody is struggling, helps in time, and proves that the help worked.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run the whole mesh on this machine, until Ctrl-C")
    demonstration = commands.add_parser("demo", help="send real journeys through the mesh and show what came of them")
    demo.add_arguments(demonstration)
    arguments = parser.parse_args()
    if arguments.command == "run":
        sys.exit(asyncio.run(run.main()))
    sys.exit(asyncio.run(demo.main(arguments)))


if __name__ == "__main__":
    main()
