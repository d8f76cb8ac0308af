"""Scores of images: agreement with other libraries, speed and memory side by side, false alarms.

    python benchmarks/judge.py agree|frechet|neighbours|nearest|kernel|false-alarms|errors|trainings|command
                               [--threads 2] [--small]

Each row runs pairs of ours and theirs in turn, at least 5, and gives the median ratio with its range. Seconds are of
the processor for one thread, of the wall for more. Memory is the peak of a process of its own, less what it held before
the score. `agree`, `neighbours` and `kernel` compare with prdc and torch-fidelity where they can be imported
(pip install --no-deps --target DIR prdc torch-fidelity; PYTHONPATH=DIR).
Results replace their section of results/judge.md.
"""

import argparse
import contextlib
import datetime
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"

import numpy as np
import torch
from judge_simulation import errors, false_alarms, trainings

from sparring import metrics

RESULTS = Path(__file__).parent / "results" / "judge.md"
PAIRS = 5


# --- what all rows share ---------------------------------------------------------------------------------------------


def features(count: int, width: int, seed: int, *, shift: float = 0.0) -> np.ndarray:
    """float32 [N,F] as a ReLU network's: correlated, not negative, with widths of very different variance."""
    random, mixing = np.random.default_rng(seed), np.random.default_rng(1)
    factors = mixing.normal(size=(64, width)).astype(np.float32) * np.linspace(0.1, 1, width, dtype=np.float32)
    found = random.normal(size=(count, 64)).astype(np.float32) @ factors
    found += random.normal(shift, 2, size=(count, width)).astype(np.float32)
    return np.maximum(found, 0, out=found)


def seconds(work: Callable[[], object]) -> float:
    """Of the processor for one thread, else of the wall."""
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = now()
    work()
    return now() - start


def ratios(ours: Callable[[], object], theirs: Callable[[], object], pairs: int = PAIRS) -> dict[str, float]:
    """Seconds of both in turn, and the ratio theirs / ours of each pair: median, least, most."""
    times = np.array([(seconds(ours), seconds(theirs)) for _ in range(pairs)])
    each = times[:, 1] / times[:, 0]
    return {
        "ours": float(np.median(times[:, 0])),
        "theirs": float(np.median(times[:, 1])),
        "ratio": float(np.median(each)),
        "least": float(each.min()),
        "most": float(each.max()),
    }


def spread(found: dict[str, float]) -> str:
    return f"{found['ratio']:.2f} ({found['least']:.2f} to {found['most']:.2f})"


def measured(code: str) -> tuple[float, float]:
    """Of code below `# measure`, in a process of its own: peak MiB beyond what is held before, processor seconds."""
    before, _, work = code.partition("# measure\n")
    script = "\n".join(
        (
            "import re, sys, time",
            "from pathlib import Path",
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
            "def mib(what):",
            "    return int(re.search(what + r':\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024",
            before,
            "Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew",
            "at_start, since = mib('VmRSS'), time.process_time()",
            work,
            "print(mib('VmHWM') - at_start, time.process_time() - since)",
        )
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    memory, took = done.stdout.split()[-2:]
    return float(memory), float(took)


def product_seconds(rows: int, columns: int, width: int, pairs: float) -> float:
    """Of `pairs` products of float32 rows, from the faster of numpy's and torch's matrix product of one tile."""
    a, b = features(rows, width, 2), features(columns, width, 3)
    out = np.empty((rows, columns), np.float32)
    x, y, z = (torch.from_numpy(t) for t in (a, b, out))
    works = (lambda: np.matmul(a, b.T, out=out), lambda: torch.mm(x, y.T, out=z))
    best = min(float(np.median([seconds(work) for _ in range(7)])) for work in works)
    return best * pairs / (rows * columns)


def write(section: str, lines: list[str], threads: int) -> None:
    """A section of the results, in the place that it has."""
    date = datetime.datetime.now(datetime.UTC).date()
    how = f"{date}, {machine()}, {threads} thread(s), load average {os.getloadavg()[0]:.1f} at the end."
    text = RESULTS.read_text() if RESULTS.exists() else "# The judge\n\n`python benchmarks/judge.py ROW`.\n"
    head, *parts = text.split("\n## ")
    sections = {part.split("\n")[0]: part for part in parts}
    sections[section] = "\n".join([section, "", how, "", *lines])
    RESULTS.write_text("\n## ".join(f"{part.rstrip()}\n" for part in (head, *sections.values())))
    print("\n".join(lines), flush=True)


def machine() -> str:
    names = [s for s in Path("/proc/cpuinfo").read_text().splitlines() if s.startswith("model name")]
    return f"{names[0].split(':')[1].strip() if names else 'unknown processor'}, {os.cpu_count()} cores"


def table(head: str, rows: list[tuple]) -> list[str]:
    width = head.count("|") + 1
    return [f"| {head} |", "|" + "---|" * width, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]


# --- other libraries -------------------------------------------------------------------------------------------------


def prdc():
    return importlib.import_module("prdc").compute_prdc if importlib.util.find_spec("prdc") else None


def fidelity(name: str):
    """A module of torch-fidelity, which needs names of torchvision while it is imported; None where it is missing."""
    if not importlib.util.find_spec("torch_fidelity"):
        return None
    lent = {} if importlib.util.find_spec("torchvision") else torchvision_names()
    sys.modules.update(lent)
    try:
        return importlib.import_module(f"torch_fidelity.{name}")
    finally:
        for part in lent:
            del sys.modules[part]


def torchvision_names() -> dict[str, types.ModuleType]:
    names = ("", ".datasets", ".transforms", ".transforms.functional")
    parts = {f"torchvision{name}": types.ModuleType(f"torchvision{name}") for name in names}
    for kind in ("CIFAR10", "CIFAR100", "STL10"):
        setattr(parts["torchvision.datasets"], kind, type(kind, (), {}))
    for name in names[1:]:
        parent, _, child = f"torchvision{name}".rpartition(".")
        setattr(parts[parent], child, parts[f"torchvision{name}"])
    return parts


def quiet(work: Callable):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return work()


# --- rows ------------------------------------------------------------------------------------------------------------


def agree(options) -> list[str]:
    """Same features, same definitions: relative difference of the scores."""
    rows = []
    for n, m, width in ((2000, 1500, 128), (3000, 3000, 512)):
        real, fake = features(n, width, 0).astype(np.float64), features(m, width, 5, shift=0.2).astype(np.float64)
        rows += [(name, f"{n} x {m} x {width}", *found) for name, *found in compared(real, fake)]
    rows = [(*row[:2], f"{row[2]:.9g}", f"{row[3]:.9g}", f"{abs(row[2] - row[3]) / abs(row[3]):.1e}") for row in rows]
    return [
        *table("score | real x fake x features | ours | theirs | relative difference", rows),
        "",
        "prdc is called (real, fake), torch-fidelity (fake, real). torch-fidelity's KID is compared with one subset of",
        "all images, its Inception score with one split: its defaults are means over random parts. prdc's balls are",
        "open, torch-fidelity's and ours closed: no pair of these lies on a rim. torch-fidelity gives precision and",
        "recall as float32, and computes KID in the type of its input: float64 here.",
    ]


def compared(real: np.ndarray, fake: np.ndarray) -> list[tuple[str, float, float]]:
    found = []
    x, y = torch.from_numpy(fake), torch.from_numpy(real)  # torch-fidelity's order
    if fid := fidelity("metric_fid"):
        theirs = fid.fid_statistics_to_metric(*(fid.fid_features_to_statistics(t) for t in (x, y)), verbose=False)[
            "frechet_inception_distance"
        ]
        found.append(("Frechet, torch-fidelity", metrics.frechet_distance(real, fake).value, theirs))
    few = min(len(real), len(fake))
    if kid := fidelity("metric_kid"):
        a, b = fake[:few], real[:few]
        settings = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
        theirs = kid.kernel_mmd(a, b, **settings, kid_kernel_poly_coef0=1)
        found.append(("kernel, torch-fidelity", metrics.kernel_distance(real[:few], fake[:few]).value, float(theirs)))
    if isc := fidelity("metric_isc"):
        logits = fake[:, :10] / 4
        theirs = isc.isc_features_to_metric(torch.from_numpy(logits), splits=1)["inception_score_mean"]
        ours = metrics.inception_score(torch.from_numpy(logits).softmax(1).numpy()).value
        found.append(("Inception score, torch-fidelity", ours, theirs))
    if prc := fidelity("metric_prc"):
        theirs = prc.calculate_precision_recall_full(x, y, 3)
        ours = metrics.neighbours(real, fake, k=3)
        found += [
            (f"{n}, torch-fidelity, k = 3", getattr(ours, n).value, t)
            for n, t in zip(("precision", "recall"), theirs, strict=True)
        ]
    if compute := prdc():
        theirs = quiet(lambda: compute(real, fake, nearest_k=5))
        ours = metrics.neighbours(real, fake)._asdict()
        found += [(f"{n}, prdc, k = 5", ours[n].value, float(theirs[n])) for n in ours]
    return found


def frechet(options) -> list[str]:
    """Against np.cov and scipy's matrix square root: in each round both, and ours in all its forms."""
    from scipy.linalg import sqrtm

    count, width = (2000, 256) if options.small else (10_000, 2048)
    real, fake = features(count, width, 0), features(count, width, 5, shift=0.2)
    a, b = moments = metrics.Moments.of(real), metrics.Moments.of(fake)
    theirs = {
        "np.cov": lambda: [np.cov(x.astype(np.float64), rowvar=False) for x in (real, fake)],
        "sqrtm": lambda: sqrtm(a.covariance @ b.covariance),
    }
    ours = {
        "from features, value only": (lambda: metrics.frechet_distance(real, fake, influences=False), theirs),
        "from features, with its error": (lambda: metrics.frechet_distance(real, fake), theirs),
        "from features, the real images' moments kept": (lambda: metrics.frechet_distance(a, fake), theirs),
        "from both moments": (lambda: metrics.frechet_distance(*moments), ("sqrtm",)),
    }
    rounds = []
    for _ in range(PAIRS):
        other = {name: seconds(work) for name, work in theirs.items()}
        rounds.append([(seconds(work), sum(other[part] for part in parts)) for work, parts in ours.values()])
        print(rounds[-1], flush=True)
    rows = []
    for name, times in zip(ours, np.array(rounds).swapaxes(0, 1), strict=True):
        each = times[:, 1] / times[:, 0]
        middle = np.median(times, 0)
        ratio = spread({"ratio": np.median(each), "least": each.min(), "most": each.max()})
        rows.append((name, f"{middle[0]:.2f}", f"{middle[1]:.2f}", ratio))
    value = a.mean - b.mean
    other = value @ value + np.trace(a.covariance + b.covariance - 2 * theirs["sqrtm"]().real)
    few = metrics.frechet_distance(real[: width // 2], fake[: width // 2])
    same = metrics.frechet_distance(real, real, influences=False)
    return [
        *table(f"{count:,} x {width:,}, twice | ours, s | np.cov and sqrtm, s | theirs / ours", rows),
        "",
        f"The last row is against sqrtm alone. Values: {metrics.frechet_distance(*moments).value:.9g} and {other:.9g}.",
        f"With {width // 2:,} images of each kind: {few!r}. Of a set and itself: {same.value:.2g}.",
    ]


NEIGHBOURS = """
from judge import features
from sparring import metrics
real, fake = features({n}, {width}, 0), features({n}, {width}, 5, shift=0.05)
metrics.neighbours(real[:64], fake[:64])
# measure
print(metrics.neighbours(real, fake))
"""


def neighbours(options) -> list[str]:
    rows, width = [], 64 if options.small else 512
    for n, pairs in ((1000, 2),) if options.small else ((10_000, PAIRS), (50_000, 1)):
        real, fake = features(n, width, 0), features(n, width, 5, shift=0.05)
        limit = lambda: product_seconds(2048, 2048, width, 2 * n * n)  # noqa: E731, B023
        each = []
        for _ in range(pairs):
            before, took = limit(), seconds(lambda: metrics.neighbours(real, fake))  # noqa: B023
            each.append((took, took / ((before + limit()) / 2)))
        times = np.array(each)
        memory, _ = measured(NEIGHBOURS.format(n=n, width=width))
        found = [np.median(times[:, 1]), times[:, 1].min(), times[:, 1].max()]
        rows.append(
            (f"{n:,}", f"{np.median(times[:, 0]):.1f}", "{:.2f} ({:.2f} to {:.2f})".format(*found), f"{memory:,.0f}")
        )
        print(rows[-1], flush=True)
    lines = table(
        f"images each, {width} features | s | over the matrix products of 2 N^2 pairs | peak memory beyond inputs, MiB",
        rows,
    )
    if compute := prdc():
        n = 1000 if options.small else 10_000
        real, fake = features(n, width, 0), features(n, width, 5, shift=0.05)
        found = ratios(lambda: metrics.neighbours(real, fake), lambda: quiet(lambda: compute(real, fake, nearest_k=5)))
        lines += ["", f"prdc at {n:,}: {found['theirs']:.1f} s against {found['ours']:.1f} s, {spread(found)} times."]
    return lines


SEARCHES = """
from judge import features, searches
real, fake = features({n}, {width}, 0), features({n}, {width}, 5, shift=0.05).astype(np.{kind})
real = real.astype(np.{kind})
work = searches(real, fake)[{search!r}][{who}]
searches(real[:300], fake[:300])[{search!r}][{who}]()
# measure
work()
"""


def searches(real: np.ndarray, fake: np.ndarray) -> dict[str, tuple[Callable, Callable]]:
    """What the judge searches for: by ours, and by scikit-learn's ArgKmin. Indices [N,k] and distances [N,k] each."""
    from sklearn.metrics import pairwise_distances_argmin_min
    from sklearn.neighbors import NearestNeighbors

    from sparring.metrics.nearest import Points, nearest_others, nearest_points

    def ours(k: int):
        frame = Points.frame(real, fake)
        found = nearest_points(Points(fake, *frame), Points(real, *frame), k=k)
        return found.index, np.sqrt(found.squared) / frame[1]

    def ours_among(k: int):
        frame = Points.frame(real)
        found = nearest_others(Points(real, *frame), k=k)
        return found.index, np.sqrt(found.squared) / frame[1]

    def theirs(k: int):
        if k == 1:
            index, apart = pairwise_distances_argmin_min(fake, real)
            return index[:, None], apart[:, None]
        return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(real).kneighbors(fake)[::-1]

    def theirs_among(k: int):
        return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(real).kneighbors()[::-1]

    return {
        "the nearest real image of each fake": (lambda: ours(1), lambda: theirs(1)),
        "the two nearest": (lambda: ours(2), lambda: theirs(2)),
        "the six nearest others of each real image": (lambda: ours_among(6), lambda: theirs_among(6)),
    }


def both_clocks(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def nearest(options) -> list[str]:
    """metrics/nearest.py against scikit-learn. Unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE where they are set."""
    rows, width, differ = [], 64 if options.small else 512, []
    for n in (1000,) if options.small else (10_000, 20_000):
        for kind in ("float32", "float64"):
            real, fake = (features(n, width, seed, shift=shift).astype(kind) for seed, shift in ((0, 0.0), (5, 0.05)))
            for search, (ours, theirs) in searches(real, fake).items():
                (index, apart), (other_index, other_apart) = ours(), theirs()
                differ.append((int((index != other_index).sum()), float(np.abs(apart - other_apart).max())))
                times = np.array([(both_clocks(ours), both_clocks(theirs)) for _ in range(PAIRS)])  # [pair,who,clock]
                memory = [
                    measured(
                        "import numpy as np\n" + SEARCHES.format(n=n, width=width, kind=kind, search=search, who=who)
                    )
                    for who in (0, 1)
                ]
                cells = [f"{np.median(times[:, who, 0]):.2f}" for who in (0, 1)]
                for clock in (0, 1):
                    ratio = times[:, 1, clock] / times[:, 0, clock]
                    cells.append(f"{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})")
                rows.append((f"{n:,}", kind, search, *cells, *(f"{mib:,.0f}" for mib, _ in memory)))
                print(rows[-1], differ[-1], flush=True)
    head = "images each | type | search | ours, s | scikit-learn, s | theirs / ours, wall | theirs / ours, processor"
    head += " | ours, MiB | theirs, MiB"
    return [
        *table(head, rows),
        "",
        f"{width} features. Seconds are of the wall. MiB: peak beyond the inputs. Neighbours that are another image: "
        f"{sum(d[0] for d in differ):,}; distances differ by at most {max(d[1] for d in differ):.1e}.",
    ]


KERNEL = """
from judge import features
from sparring import metrics
real, fake = features({n}, {width}, 0), features({n}, {width}, 5, shift=0.05)
metrics.kernel_distance(real[:64], fake[:64])
# measure
metrics.kernel_distance(real, fake)
"""


def kernel(options) -> list[str]:
    n, width = (2000, 64) if options.small else (options.images, 2048)
    memory, took = measured(KERNEL.format(n=n, width=width))
    rows = [(f"{n:,}", f"{took:.0f}", f"{memory:,.0f}")]
    lines = table(
        f"images each, {width} features, all pairs, one pass | processor s | peak memory beyond inputs, MiB", rows
    )
    if kid := fidelity("metric_kid"):
        n = 1000 if options.small else 5000
        real, fake = (x.astype(np.float64) for x in (features(n, width, 0), features(n, width, 5, shift=0.05)))
        settings = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
        found = ratios(
            lambda: metrics.kernel_distance(real, fake),
            lambda: kid.kernel_mmd(fake, real, **settings, kid_kernel_poly_coef0=1),
        )
        lines += [
            "",
            f"torch-fidelity's kernel over all pairs at {n:,}: {found['theirs']:.1f} s against {found['ours']:.1f} s "
            f"with its error, {spread(found)} times.",
        ]
    return lines


def wall_seconds(call: list[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(call, check=True, env=env, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def command(options) -> list[str]:
    """`sparring judge` on two folders of CIFAR-10 images: the first call of all, and later ones."""
    from PIL import Image
    from scoring import real_images

    count, rows = 500 if options.small else 10_000, []
    with tempfile.TemporaryDirectory() as place:
        x = real_images("cifar10").x
        order = np.random.default_rng(0).permutation(len(x))
        for name, at in (("real", order[:count]), ("fake", order[count : 2 * count])):
            folder = Path(place) / name
            folder.mkdir()
            for i in at:
                Image.fromarray(x[i]).save(folder / f"{i:05d}.png")
        call = [sys.executable, "-m", "sparring", "judge", f"{place}/real", f"{place}/fake", "--quiet"]
        first, later = [], []
        for number in range(1 if options.small else 2):
            home = os.environ | {"SPARRING_CACHE": f"{place}/cache-{number}"}
            first.append(wall_seconds(call, home))
            later += [wall_seconds(call, home) for _ in range(3)]
        for name, times in (("first", first), ("later", later)):
            rows.append((name, len(times), f"{np.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"))
    return table(f"`sparring judge` on two folders of {count:,} CIFAR-10 images | calls | s", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a quick look; writes nothing")
    parser.add_argument("--images", type=int, default=50_000, help="of the kernel distance")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = ROWS[options.row][1](options)
    if options.small:
        print("\n".join(lines))
    else:
        write(ROWS[options.row][0], lines, options.threads)


ROWS = {
    "agree": ("Agreement with other libraries", agree),
    "frechet": ("Frechet distance", frechet),
    "neighbours": ("Precision, recall, density, coverage", neighbours),
    "nearest": ("Nearest neighbours", nearest),
    "kernel": ("Kernel distance", kernel),
    "false-alarms": ("False alarms", false_alarms),
    "errors": ("Errors", errors),
    "trainings": ("Trainings", trainings),
    "command": ("The command", command),
}

if __name__ == "__main__":
    main()
