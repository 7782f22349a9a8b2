"""A real worker with nodes for tests, instead of those that ship. Run as a script: it is what `python -m nodegraph.worker` is."""

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from nodegraph.cache import standard_cache
from nodegraph.node import HEADLESS, Context, node
from nodegraph.registry import Registry


@node("test/number")
def number(value: int = 0) -> int:
    return value


@node("test/add")
def add(a: int, b: int = 1) -> int:
    return a + b


@node("test/work")
def work(value: int = 0, steps: int = 5, pause: float = 0.01, size: int = 64, ctx: Context = HEADLESS) -> int:
    """Takes a while, step by step, with a picture on the way."""
    import numpy as np

    for step in range(1, steps + 1):
        time.sleep(pause)
        ctx.progress(step, steps, preview=lambda: np.full((size, size, 3), 7, np.uint8))
    return value


@node("test/sleep")
def sleep(value: int = 0, seconds: float = 60.0) -> int:
    """Never comes to a step, as a kernel that hangs."""
    time.sleep(seconds)
    return value


@node("test/die")
def die(value: int = 0, how: str = "abort") -> int:
    """Ends the process as a bug in native code does."""
    if how == "abort":
        os.abort()
    if how == "exit":
        os._exit(3)
    if how == "kill":
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(4)


@node("test/noise")
def noise(value: int = 0) -> int:
    """Prints, in every way there is, and tries to read."""
    print("stray print")
    os.write(1, b"stray write\n" * 1000)
    sys.stdout.write("more\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    assert sys.stdin.read() == ""
    return value


@node("test/save", sink=True)
def save(value: int, name: str = "result", ctx: Context = HEADLESS) -> None:
    import numpy as np

    path = ctx.output_path(name, ".txt")
    path.write_text(str(value))
    ctx.saved(path)
    ctx.show(np.full((2, 3, 3), 9, np.uint8))


@node("test/loaded")
def loaded(module: str = "torch") -> bool:
    """Whether a module is there already."""
    return module in sys.modules


@node("test/memory")
def memory(value: int = 0, megabytes: int = 300) -> int:
    """Fills memory, then has not enough."""
    held = bytearray(megabytes << 20)
    raise MemoryError(len(held))


def load():
    registry = Registry(folders=Registry().folders)
    for function in (number, add, work, sleep, die, noise, save, loaded, memory):
        registry.add_function(function)
    return registry, standard_cache(registry.folders)


if __name__ == "__main__":
    from nodegraph import worker

    if "--silent" in sys.argv:
        sys.exit(7)
    worker.main(load)
