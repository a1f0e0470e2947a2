"""The command `journeymesh`: finds the module of a subcommand and runs it."""

import signal
import sys

_COMMANDS = {
    "run": "run the whole mesh on this machine until Ctrl-C",
    "check": "send the calculator example to a mesh and wait for the help it triggers",
    "demo": "send journeys through the mesh and show what it made of them",
    "explain": "explain why a user was or was not helped",
    "replay": "derive archived decisions again, or with another policy or model",
    "model": "list the exit-risk models, promote, try or roll back one, and report on their predictions",
    "policy": "check a policy, or learn its priors from outcomes",
    "prompt": "check a prompt, and show what a language model is told by it",
    "experiment": "compare the arms of an experiment, from a table of its users",
    "customers": "tell what customers will buy, and which of them need what, from a table or the archive",
    "jobs": "start, follow, list and cancel work over everything that is archived",
    "insights": "tell when a metric was unusual, from a table of it",
    "keys": "create, list, rotate and revoke the keys that callers of the gateway need",
    "tenants": "create, list and delete those who use the mesh beside others",
    "people": "list who is signed in, and end sessions",
    "sign-in": "print a link that signs this machine's operator in, where no OpenID provider is set up",
    "audit": "list who did what, and verify that nobody changed it since",
    "privacy": "erase or export a person, or search everything that is kept for their ids",
}


def main() -> None:
    """Runs the named command, importing only its module: the others may need libraries that are not installed."""
    # Until the command's modules are loaded, Ctrl-C ends the process silently: import little before this line.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import argparse
    from importlib import import_module

    parser = argparse.ArgumentParser(
        prog="journeymesh", description="Sees that somebody struggles, helps in time, and proves that the help worked."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    parsers = {name: commands.add_parser(name, help=does) for name, does in _COMMANDS.items()}
    name = next(iter(sys.argv[1:]), "")
    try:
        if name in parsers:
            command = import_module(f"cli.{name.replace('-', '_')}")
            command.add_arguments(parsers[name])
        arguments = parser.parse_args()
        import asyncio

        signal.signal(signal.SIGINT, signal.default_int_handler)
        result = command.main(arguments)
        sys.exit(asyncio.run(result) if asyncio.iscoroutine(result) else result)
    except ImportError as error:
        sys.exit(f"journeymesh: `{name}` needs something that is not installed here: {error}.")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
