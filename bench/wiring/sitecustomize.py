"""Imported by Python on start in the processes of a mesh that `bench.harness.rewiring` rewires."""

import os
import sys
import traceback

from bench.harness import rewiring

try:
    rewiring.rewire(os.environ[rewiring.VARIABLE])
except Exception:  # noqa: BLE001 - or Python would ignore it, and the wrong thing be measured
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(70)
