"""Nodes for making pictures. Importing this package, or any of the modules directly inside it, never imports torch."""

import os

# Before anything can import huggingface_hub: models come from disk, never from a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
# Before anything can import torch: its threads wait for each other by turning in place, on Linux for as long as it takes. Beside other
# work on the same cores, as on a render node or while a film plays, that made a picture ten times as slow; this many turns, then sleep,
# and a machine of one's own is as fast as ever (tests/benchmarks/busy.py). Whoever sets one of the two means it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def free_memory() -> None:
    """Give back what models hold, as far as nothing is using them. Does nothing when none were ever loaded."""
    import sys

    memory = sys.modules.get("nodes.models.memory")
    if memory is not None:
        memory.MODELS.free()


def warm_up() -> None:
    """Import what the first prompt will need, while the artist still looks around. Called in the worker, after torch."""
    from nodes.models.loading import warm_up as warm

    warm()
