"""Taken in by Python as it starts, in the processes of a mesh that `bench.harness.rewiring` wires otherwise."""

import os
import sys
import traceback

from bench.harness import rewiring

try:
    rewiring.rewire(os.environ[rewiring.VARIABLE])
except Exception:  # noqa: BLE001 - Python would go on without it, and something else be measured
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(70)
