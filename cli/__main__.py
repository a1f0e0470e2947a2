"""`journeymesh run`, `check`, `demo`, `explain`, `replay` and `policy`."""

import signal
import sys

_COMMANDS = {
    "run": "run the whole mesh on this machine, until Ctrl-C",
    "check": "send the calculator example to a mesh, and wait for the help it brings",
    "demo": "send real journeys through the mesh and show what came of them",
    "explain": "tell why somebody was helped, or was not",
    "replay": "derive archived decisions again, and try another policy or model",
    "policy": "check a policy, or learn its priors",
}


def main() -> None:
    """Runs the command the arguments name. Only its module is loaded: others may need what is not installed here."""
    # While modules are loaded, which takes a second, Ctrl-C ends the process without words. So as few as can be are
    # loaded before this.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import argparse
    from importlib import import_module

    parser = argparse.ArgumentParser(
        prog="journeymesh",
        description="Sees that somebody is struggling, helps in time, and proves that the help worked.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    parsers = {name: commands.add_parser(name, help=does) for name, does in _COMMANDS.items()}
    named = next(iter(sys.argv[1:]), "")
    try:
        if named in parsers:
            command = import_module(f"cli.{named}")
            if named != "run":
                command.add_arguments(parsers[named])
        arguments = parser.parse_args()
        import asyncio

        signal.signal(signal.SIGINT, signal.default_int_handler)
        done = command.main() if named == "run" else command.main(arguments)
        sys.exit(asyncio.run(done) if asyncio.iscoroutine(done) else done)
    except ImportError as error:
        sys.exit(f"journeymesh: `{named}` cannot be done with what is installed here: {error}.")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
