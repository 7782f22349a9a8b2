"""How much memory there is and how much of it is in use, without ever importing torch."""

from __future__ import annotations

import sys
from typing import Any

GB = 1 << 30


def memory() -> tuple[int, int]:
    """Bytes of main memory: (all of it, what is free for programs)."""
    import psutil

    found = psutil.virtual_memory()
    return found.total, found.available


def resident() -> int:
    """Bytes that this process holds in main memory."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def result_limit() -> int:
    """A sound budget for results in memory: an eighth of the machine, from 512 MB to 16 GB."""
    return min(16 * GB, max(GB // 2, memory()[0] // 8))


def device_memory() -> tuple[str, int, int]:
    """(device, bytes in use, bytes in all) of what this process computes on. Looks only at a torch that is loaded already."""
    torch: Any = sys.modules.get("torch")
    try:
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            free, total = torch.cuda.mem_get_info()
            return f"cuda:{torch.cuda.current_device()}", total - free, total
        if torch is not None and torch.backends.mps.is_available():
            return "mps", torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()
    except (AttributeError, RuntimeError):  # half-imported, or the driver is in trouble
        pass
    return "cpu", resident(), memory()[0]
