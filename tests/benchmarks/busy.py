"""A picture on a machine that has other work: what waiting threads cost, with our setting and as torch comes.

    python tests/benchmarks/busy.py [--rounds 3]

The shipped model draws with all threads: on the idle machine, beside one busy process a core, and beside the same while it gives way to
them (nice 5, as jobs on a render node do). The settings take turns, each in processes of its own, because threads learn how to wait when
torch is loaded. Times are of the clock.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WAYS = {"as torch comes": {}, "asleep at once": {"OMP_WAIT_POLICY": "passive"}, "ours": {}}

PICTURE = """
import os, statistics, sys, time
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if sys.argv[1] == "ours":
    import nodes
import torch, diffusers
diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
pipe = diffusers.StableDiffusionPipeline.from_pretrained("resources/starter/model", dtype=torch.float32, local_files_only=True, safety_checker=None)
pipe.set_progress_bar_config(disable=True)
times = []
for turn in range(4):
    began = time.perf_counter()
    pipe("a fox in the snow", num_inference_steps=20, guidance_scale=4.0, height=128, width=128, output_type="np")
    times.append(time.perf_counter() - began)
print(statistics.median(times[1:]))
"""


def seconds(way: str, nice: int) -> float:
    """The median of three pictures in a new process of less priority by `nice`."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")}
    told = subprocess.run(
        ["nice", "-n", str(nice), sys.executable, "-c", PICTURE, way],
        env=kept | WAYS[way] | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(told.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    cores = os.cpu_count() or 1
    for busy, nice, title in ((0, 0, "idle"), (cores, 0, "a busy process a core"), (cores, 5, "the same, giving way")):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            taken: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way in WAYS:
                    taken[way].append(seconds(way, nice))
        finally:
            for other in others:
                other.kill()
        print(f"{title}: " + ", ".join(f"{way} {statistics.median(times):.2f} s" for way, times in taken.items()), flush=True)


if __name__ == "__main__":
    main()
