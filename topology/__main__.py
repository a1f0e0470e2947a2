"""Prints what `make lock` resolves for a machine that runs every service: each extra once, as uv's arguments."""

from topology import SERVICES

if __name__ == "__main__":
    print(*(f"--extra {extra}" for extra in sorted({extra for each in SERVICES for extra in each.extras})))  # noqa: T201
