"""Damaged and odd files of every kind for minutes: what does more than fail is printed and kept.

    OMP_NUM_THREADS=1 python benchmarks/fuzz.py --minutes 10 [--only images] [--seed 0] [--keep build/fuzz]

For each kind so many minutes of the processor: six kinds of 10 minutes are an hour. Something is found where reading
raises anything but one sentence, takes longer than 5 s, or where the process takes more than 2 GB. The file lies then
in the folder `--keep`, called by its kind and the number of the try; the same seed and number make it again.
"""

import argparse
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzzing import TARGETS, tried  # noqa: E402

SLOW, MOST_MEMORY = 5.0, 2_000_000  # seconds, kB


def fuzzed(kind: str, minutes: float, seed: int, keep: Path) -> tuple[int, dict[str, int]]:
    """Return how many files were tried, and how often what was found, by the line that raised it."""
    found: dict[str, int] = {}
    number, end = 0, time.process_time() + 60 * minutes
    while time.process_time() < end:
        number += 1
        random = Random(f"{kind} {seed} {number}")
        state, start, what = random.getstate(), time.process_time(), ""
        signal.alarm(60)
        try:
            tried(TARGETS[kind], random)
        except Exception as error:  # whatever it is, it was not meant
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:100]}"
        finally:
            signal.alarm(0)
        seconds = time.process_time() - start
        what = what or (f"took {seconds:.0f} s" if seconds > SLOW else "")
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MOST_MEMORY:
            raise SystemExit(f"{kind}: try {number} of seed {seed} took more than 2 GB")
        if what and what not in found:
            print(f"{kind}, try {number}: {what}", flush=True)
            random.setstate(state)
            target = TARGETS[kind]
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{kind}-{seed}-{number}").write_bytes(target.change(random.choice(target.whole()), random))
        if what:
            found[what] = found.get(what, 0) + 1
    return number, found


def too_long(*_: object) -> None:
    raise TimeoutError("more than a minute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the processor, for each kind")
    parser.add_argument("--only", choices=TARGETS, help="one kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    bad = 0
    for kind in [given.only] if given.only else list(TARGETS):
        tries, found = fuzzed(kind, given.minutes, given.seed, given.keep)
        bad += len(found)
        print(f"{kind}: {tries:,} files in {given.minutes:g} minutes of the processor, {len(found)} kinds of failures")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
