"""`journeymesh run`, `demo`, `explain`, `replay` and `policy`."""

import argparse
import asyncio
import sys

from cli import demo, explain, policy, replay, run


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
    explain.add_arguments(commands.add_parser("explain", help="tell why somebody was helped, or was not"))
    replay.add_arguments(
        commands.add_parser("replay", help="derive archived decisions again, and try another policy or model")
    )
    policy.add_arguments(commands.add_parser("policy", help="check a policy, or learn its priors"))
    arguments = parser.parse_args()
    match arguments.command:
        case "run":
            sys.exit(asyncio.run(run.main()))
        case "demo":
            sys.exit(asyncio.run(demo.main(arguments)))
        case "explain":
            sys.exit(asyncio.run(explain.main(arguments)))
        case "replay":
            sys.exit(asyncio.run(replay.main(arguments)))
        case _:
            sys.exit(policy.main(arguments))


if __name__ == "__main__":
    main()
