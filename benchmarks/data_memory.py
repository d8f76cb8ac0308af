"""Peak memory and time of loading and describing a folder of images, as a ratio to what is kept of it.

    python benchmarks/data_memory.py --gib 1 --side 256 --format jpeg        # needs about 0.3 GiB of disk for JPEG
    python benchmarks/data_memory.py --gib 1 --side 300 --mixed              # photographs, upright and lying
    python benchmarks/data_memory.py --gib 1 --side 300 --mixed --mapped     # as where memory is scarce

`--gib`: of what is kept, images with a shorter side of at most 224 pixels. `--mixed`: side x 4/3 side, every third
image upright. `--mapped`: images lie in a file that is mapped; its pages count as long as the system leaves them in
memory, so what the process itself holds is printed, too.

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
from sparring.data import describe, load, storage
if sys.argv[2] == "mapped":
    storage.MEMORY_SHARE = 0
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
    "own": next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("RssAnon:")),
    "shape": images.shape, "cpu": time.process_time() - cpu, "near": found.duplicates.near,
    "exact": found.duplicates.exact,
}))
"""


def make_folder(folder: Path, *, count: int, side: int, kind: str, mixed: bool) -> int:
    """Textured random pictures in four classes, every hundredth a copy; returns the bytes on disk."""
    rng = np.random.default_rng(0)
    longer = side * 4 // 3 if mixed else side
    noise = rng.integers(0, 24, (longer + 64, longer + 64, 3), dtype=np.uint8)
    size = 0
    for i in range(count):
        if i % 100 != 99:
            coarse = Image.fromarray(rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8))
            y, x = rng.integers(0, 64, 2)
            width, height = (side, longer) if i % 3 == 0 else (longer, side)
            smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))
            picture = Image.fromarray(smooth // 12 * 11 + noise[y : y + height, x : x + width])
        path = folder / f"class{i % 4}" / f"{i:06d}.{kind}"
        path.parent.mkdir(exist_ok=True)
        picture.save(path, quality=85) if kind == "jpeg" else picture.save(path, compress_level=1)
        size += path.stat().st_size
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=1.0, help="size of what is kept")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--format", choices=("jpeg", "png"), default="jpeg")
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--mapped", action="store_true")
    options = parser.parse_args()
    kept = min(options.side, 224)
    count = round(options.gib * 2**30 / (kept * (kept * 4 // 3 if options.mixed else kept) * 3))
    with tempfile.TemporaryDirectory(prefix="sparring-memory-") as top:
        size = make_folder(Path(top), count=count, side=options.side, kind=options.format, mixed=options.mixed)
        print(
            f"{count} {options.format} files with a shorter side of {options.side}, {size / 2**20:,.0f} MiB on disk",
            flush=True,
        )
        start = time.perf_counter()
        where = "mapped" if options.mapped else "memory"
        done = subprocess.run([sys.executable, "-c", CHILD, top, where], capture_output=True, text=True, check=True)
        whole = time.perf_counter() - start
    got = json.loads(done.stdout)
    ratio = got["peak"] / got["decoded"]
    print(
        f"kept {got['decoded'] / 2**20:,.0f} MiB, {got['images']} images of {got['shape']}; "
        f"peak {got['peak'] / 2**20:,.0f} MiB = {ratio:.2f} x (after loading "
        f"{got['after_load'] / got['decoded']:.2f} x; held by the process itself at the end "
        f"{got['own'] / got['decoded']:.2f} x); load {got['load_seconds']:.1f} s "
        f"({got['load_cpu']:.1f} CPU), load and describe {got['seconds']:.1f} s ({got['cpu']:.1f} CPU), process "
        f"{whole:.1f} s; {got['exact']} exact and {got['near']} near duplicates; progress told "
        f"{got['progress_calls']} times"
    )
    if ratio >= BAR:
        sys.exit(f"above the bar of {BAR}")


if __name__ == "__main__":
    main()
