"""Makes the pictures that stand beside the model anew: what every example gives, and the fixed grid."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from resources.starter.recipe import evaluate, layout

STARTER = Path(__file__).resolve().parents[1]
EXAMPLES = STARTER.parent / "examples"
LEAST = 384  # pixels a side: smaller pictures are shown enlarged by a whole number


def of_graph(graph: Path) -> Image.Image:
    """The last picture that a graph saves, made on the CPU from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, "-m", "nodegraph", "run", str(graph), "-o", folder, "--no-cache", "--device", "cpu"]
        subprocess.run(run, check=True, capture_output=True)
        with Image.open(sorted(Path(folder).rglob("*.png"))[-1]) as picture:
            return picture.convert("RGB")


def enlarged(picture: Image.Image) -> Image.Image:
    times = max(1, min(3, round(LEAST / picture.height)))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.LANCZOS)


def save(picture: Image.Image, path: Path) -> None:
    picture.save(path, quality=82, method=6)
    print(f"{path.name}: {picture.width} x {picture.height}, {path.stat().st_size} bytes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", nargs="*", help="names of examples; all, and the grid, where none is given")
    names = parser.parse_args().examples
    for graph in sorted(EXAMPLES.glob("*.graph")):
        if not names or graph.stem in names:
            save(enlarged(of_graph(graph)), graph.with_suffix(".webp"))
    if not names:
        with tempfile.TemporaryDirectory() as folder:
            grid = Path(folder) / "grid.png"
            evaluate.save_grid(evaluate.draw(layout.load(STARTER / "model"), evaluate.GRID, seed=100), evaluate.GRID, grid)
            with Image.open(grid) as page:
                save(page.convert("RGB"), STARTER / "samples.webp")


if __name__ == "__main__":
    main()
