"""Peak memory and time of loading and describing a folder of images, as a ratio to its decoded size.

    python benchmarks/data_memory.py --gib 1 --side 256 --format jpeg        # needs about 0.3 GiB of disk for JPEG

Makes the folder in a temporary place, runs `describe(load(folder))` in a fresh process, and removes the folder.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

BAR = 2.5
CHILD = """
import json, resource, sys, time
from sparring.data import describe, load
calls = []
start, cpu = time.perf_counter(), time.process_time()
images = load(sys.argv[1], progress=calls.append)
loaded, loaded_cpu = time.perf_counter() - start, time.process_time() - cpu
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
found = describe(images)
print(json.dumps({
    "images": len(images), "decoded": images.images.nbytes, "after_load": held, "progress_calls": len(calls),
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "load_seconds": loaded, "load_cpu": loaded_cpu, "seconds": time.perf_counter() - start,
    "cpu": time.process_time() - cpu, "near": found.duplicates.near, "exact": found.duplicates.exact,
}))
"""


def make_folder(folder: Path, *, count: int, side: int, kind: str) -> int:
    """Textured random pictures in four classes, every hundredth a copy; returns the bytes on disk."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 24, (side + 64, side + 64, 3), dtype=np.uint8)
    size = 0
    for i in range(count):
        if i % 100 != 99:
            coarse = Image.fromarray(rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8))
            y, x = rng.integers(0, 64, 2)
            smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BILINEAR))
            picture = Image.fromarray(smooth // 12 * 11 + noise[y : y + side, x : x + side])
        path = folder / f"class{i % 4}" / f"{i:06d}.{kind}"
        path.parent.mkdir(exist_ok=True)
        picture.save(path, quality=85) if kind == "jpeg" else picture.save(path, compress_level=1)
        size += path.stat().st_size
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=1.0, help="decoded size")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--format", choices=("jpeg", "png"), default="jpeg")
    options = parser.parse_args()
    count = round(options.gib * 2**30 / (options.side**2 * 3))
    with tempfile.TemporaryDirectory(prefix="sparring-memory-") as top:
        size = make_folder(Path(top), count=count, side=options.side, kind=options.format)
        print(
            f"{count} {options.format} files of {options.side}x{options.side}, {size / 2**20:,.0f} MiB on disk",
            flush=True,
        )
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", CHILD, top], capture_output=True, text=True, check=True)
        whole = time.perf_counter() - start
    got = json.loads(done.stdout)
    ratio = got["peak"] / got["decoded"]
    print(
        f"decoded {got['decoded'] / 2**20:,.0f} MiB, peak {got['peak'] / 2**20:,.0f} MiB = {ratio:.2f} x "
        f"(after loading {got['after_load'] / got['decoded']:.2f} x); load {got['load_seconds']:.1f} s "
        f"({got['load_cpu']:.1f} CPU), load and describe {got['seconds']:.1f} s ({got['cpu']:.1f} CPU), process "
        f"{whole:.1f} s; {got['exact']} exact and {got['near']} near duplicates; progress told "
        f"{got['progress_calls']} times"
    )
    if ratio >= BAR:
        sys.exit(f"above the bar of {BAR}")


if __name__ == "__main__":
    main()
