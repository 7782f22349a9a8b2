"""Nodes for making pictures. Importing this package, or any of the modules directly inside it, never imports torch."""

import os

# Before anything can import huggingface_hub: models come from disk, never from a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
# Before anything can import torch: on Linux its threads turn in place while they wait for each other. A job that gives way to other work,
# as on a render node, so took eight times as long for a picture. After this many turns they sleep; an idle machine is as fast as before
# (tests/benchmarks/busy.py). Whoever sets one of the two means it.
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
