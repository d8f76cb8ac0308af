"""Does another version give the same results? The same work in two checkouts, compared bit by bit.

    python benchmarks/same_results.py BEFORE AFTER [--parts games,methods,judge,study,pages] [--keep FOLDER]

BEFORE and AFTER are folders that hold src/sparring; both run in this Python, side by side, one thread and one cache
each. All seeds are fixed, nothing has a time limit, and the processor's clock stands still: `judge` would else choose
between fp32 and bf16 by what is faster at the moment. The work is what users type, and METHODS and load:

games    recipes that together have every network, head, cell, loss, penalty, constraint and optimiser of the table, ADA
         with and without a rival: all tensors of the last checkpoint, the log, samples and translations
methods  every classifier: its probabilities of held-out digits; a model folder that is fitted and then used
judge    digits with noise against digits: every score, interval, p-value and sentence, and the page
study    three classifiers, six repeats: every row, prediction and number of the summary
pages    the study and a run that BEFORE wrote, made into pages by both: AFTER must read them, and say the same

Times and dates are left out (TIMES, SECONDS). Numbers that stand under another name are found by their score and value
and count as equal; the names are told. Tensors must keep their names. Prints a markdown table; the exit code is 1 if
anything differs or fails.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import deserialize
from sklearn.datasets import load_digits

PARTS = ("games", "methods", "judge", "study", "pages")
TRAIN = "--images 640 --batch 16 --precision fp32 --device cpu --quiet"
GAMES = {  # recipe -> data, and what else is typed
    "dcgan": "digits --augment ada --images 3200",
    "minimax": "digits --augment none",
    "wgan": "digits --augment none",
    "wgan-gp": "digits --augment none",
    "improved": "digits --augment none",
    "infogan": "digits --augment none",
    "r3gan": "digits --augment ada --images 3200",
    "r3gan-deep": "digits --augment none",
    "cgan": "digits --augment diffaugment",
    "acgan": "digits --augment none",
    "biggan": "digits --augment none --images 320",
    "semi": "digits",
    "bad-gan": "digits --augment none",
    "classifier": "digits",
    "vae": "digits",
    "cvae": "digits",
    "pix2pix": "real --source grain --images 320",
    "cyclegan": "real --source far --images 320",
    "inpaint": "digits --images 320",
    "upscale": "digits --images 320",
    "restyle": "colour --images 320",
}
AFTERWARDS = {  # recipe -> what is typed then, "" for nothing
    "infogan": "sample {run} -n 32 --code 3 --out {made}",
    "cgan": "sample {run} --per-class 4 --out {made}",
    "classifier": "",
    "pix2pix": "translate {run} far/0 --out {made}",
    "cyclegan": "translate {run} far/0 --out {made} --to b",
    "inpaint": "translate {run} real --score --out {made} --json",
    "upscale": "translate {run} real --score --out {made} --json",
    "restyle": "translate {run} colour --score --out {made} --json",
}
METHODS = "majority logistic svm spreading cnn consistency semi-gan gan-augment".split()
FIT = """
import sys
import numpy as np
import sparring
digits = sparring.load("digits")
images, labels = digits.images[:600], np.full(600, -1)
for k in range(10):
    five = np.flatnonzero(digits.labels[:600] == k)[:5]
    labels[five] = k
model = sparring.METHODS[sys.argv[1]].make(random_state=0).fit(images, labels)
np.save(sys.argv[2], model.predict_proba(digits.images[600:900]))
"""
SERVER = """
import json, os, runpy, sys, time
import sklearn.datasets, torch._dynamo  # slow to import; sparring itself is imported anew for each piece of work
time.process_time = lambda: 0.0
for line in sys.stdin:
    code, words = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in ((1, "printed"), (2, "noted")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["sparring", *words]
        if code:
            exec(code)
        else:
            runpy.run_module("sparring", run_name="__main__", alter_sys=True)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
JUDGED = (  # part, name, what is typed
    ("games", "dcgan, judged over time", "digits run-dcgan --over-time --features pixels"),
    ("judge", "own features", "real near=near far=far --held-out held"),
    ("judge", "several trainings", "real near=near near=near-again far=far --features hog --per-class"),
    ("judge", "worth of fakes", "real near=near --metrics train-on-generated --images 200"),
    ("judge", "slow scores", "real near=near far=far --held-out held --features pixels --metrics frechet-infinity"),
)
TIMES = set("seconds second time created started".split())  # words of keys
SECONDS = re.compile(r"[\d.,]+ (s|ms|seconds?|min|minutes?)\b")  # in sentences
SHOWN, NAMES = 3, 20  # differences of one kind that are told: values, names

Place = tuple[str, ...]  # of a value: its file, the keys on the way to it, the name of its score
Values = dict[Place, object]  # numbers, text, or digests of tensors and pictures


class Failed(Exception):
    """A command that did not end well."""


@dataclass(frozen=True)
class Side:
    """A checkout, the folder that it works in, and a Python that starts a fresh copy of itself for each command."""

    name: str
    checkout: Path
    folder: Path
    server: subprocess.Popen

    @classmethod
    def begun(cls, name: str, checkout: Path, folder: Path, stack: ExitStack) -> "Side":
        """Makes the folder, with the digits in it, and starts the Python, which ends with the stack."""
        folder.mkdir(parents=True)
        write_digits(folder)
        env = os.environ | {"PYTHONPATH": str(checkout / "src"), "SPARRING_CACHE": str(folder / "cache")}
        env |= {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=folder, env=env, **pipes)
        return cls(name, checkout, folder, stack.enter_context(server))

    def python(self, code: str, *words: str) -> str:
        """What this code prints; without any, what `sparring` with these words prints."""
        self.server.stdin.write(json.dumps([code, words]) + "\n")
        self.server.stdin.flush()
        status = self.server.stdout.readline().strip()
        printed, noted = ((self.folder / name).read_text(encoding="utf-8") for name in ("printed", "noted"))
        if status != "0":
            raise Failed((noted.strip() or printed.strip() or f"exit code {status}").splitlines()[-1])
        return printed

    def type(self, words: str) -> str:
        """What a command prints."""
        return self.python("", *words.split())

    def checked(self) -> str:
        """The line that says which version it is. Raises SystemExit where another one would be imported."""
        try:
            found = Path(self.python("import sparring; print(sparring.__file__)").strip()).resolve()
        except Failed as error:
            raise SystemExit(f"{self.checkout}: {error}") from None
        if not found.is_relative_to(self.checkout / "src"):
            raise SystemExit(f"{self.checkout} holds no src/sparring: {found} is imported instead")
        git = ["git", "-C", str(self.checkout), "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
        return f"{self.name}: {self.checkout} ({commit or 'no commit'})"


@dataclass(frozen=True)
class Task:
    """A piece of work, and what it gives: kind of value -> values."""

    part: str
    name: str
    do: Callable[[Side], dict[str, Values]]


# --- what is read ----------------------------------------------------------------------------------------------------


def digest(data: bytes | np.ndarray) -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()).hexdigest()[:16]


def tensors(file: Path) -> Values:
    """Name -> type, shape and digest of the bytes."""
    found = deserialize(file.read_bytes())
    return {(name,): (t["dtype"], tuple(t["shape"]), digest(bytes(t["data"]))) for name, t in found}


def arrays(file: Path) -> Values:
    loaded = np.load(file, allow_pickle=False)
    named = {file.stem: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    return {(file.stem, name): (str(x.dtype), x.shape, digest(x)) for name, x in named.items()}


def pictures(folder: Path) -> Values:
    """File -> mode, size and digest of the pixels."""
    found: Values = {}
    for file in sorted(folder.rglob("*.png")):
        with Image.open(file) as image:
            found[file.relative_to(folder).parts] = (image.mode, image.size, digest(np.asarray(image)))
    return found


def values(tree: object, names: Iterable[str], place: Place = ()) -> Iterator[tuple[Place, object]]:
    """(Place, value) of all that JSON holds, without times. A dict that holds one of `names` is that name's."""
    if isinstance(tree, dict):
        place += tuple(v for v in tree.values() if isinstance(v, str) and v in names)[:1]
        for key, value in tree.items():
            if not TIMES & set(re.split(r"[^a-z]+", key.lower())):
                yield from values(value, names, (*place, key))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from values(value, names, (*place, str(number)))
    else:
        same = tree == tree and not isinstance(tree, bool)  # as text NaN equals itself, and True is not 1
        yield place, SECONDS.sub("", tree) if isinstance(tree, str) else tree if same else str(tree)


def lines(file: Path) -> list:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


# --- the work --------------------------------------------------------------------------------------------------------


def write_digits(folder: Path) -> None:
    """Folders of PNG files: digits, others, the same with little and with much noise, and in colour."""
    digits, draws = load_digits(), np.random.default_rng(0)
    order = draws.permutation(len(digits.images))
    images, labels = np.round(digits.images[order] * (255 / 16)).astype(np.uint8), digits.target[order]

    def write(name: str, rows: range, noise: int = 0) -> None:
        for row in rows:
            file = folder / name / str(labels[row]) / f"{row:04d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            changed = images[row] + draws.integers(-noise, noise + 1, images[row].shape)
            Image.fromarray(changed.clip(0, 255).astype(np.uint8)).save(file)

    write("real", range(640))
    write("held", range(640, 1200))
    write("grain", range(640), noise=60)
    write("near", range(1200, 1797), noise=20)
    write("near", range(30), noise=1)  # copies
    write("near-again", range(1200, 1797), noise=20)
    write("far", range(1200, 1797), noise=70)
    (folder / "colour").mkdir()
    for row in range(640):
        tint = draws.uniform(0.3, 1.0, 3)
        Image.fromarray((images[row, :, :, None] * tint).astype(np.uint8)).save(folder / "colour" / f"{row:04d}.png")


def game(recipe: str) -> Task:
    def do(side: Side) -> dict[str, Values]:
        run, made = f"run-{recipe}", f"made-{recipe}"
        data, *others = GAMES[recipe].split()
        options = TRAIN.split()
        if "--images" in others:
            options = options[2:]
        side.type(" ".join(["train", data, "-r", recipe, "--out", run, *options, *others]))
        printed = ""
        if then := AFTERWARDS.get(recipe, "sample {run} -n 32 --out {made}"):
            printed = side.type(then.format(run=run, made=made))
        folder = side.folder / run
        found = {
            "tensors": tensors(max(folder.glob("checkpoints/*/*.safetensors"))),
            "logged": dict(values(lines(folder / "log.jsonl"), ())),
        }
        if then:
            found["pictures"] = pictures(folder / "samples") | pictures(side.folder / made)
        if printed.startswith("["):
            found["scores"] = dict(values(json.loads(printed), ()))
        return found

    return Task("games", recipe, do)


def method(name: str) -> Task:
    def do(side: Side) -> dict[str, Values]:
        side.python(FIT, name, f"method-{name}.npy")
        return {"probabilities": arrays(side.folder / f"method-{name}.npy")}

    return Task("methods", name, do)


def model(side: Side) -> dict[str, Values]:
    side.type("fit real -m logistic --out model --quiet")
    printed = side.type("classify model near --csv").splitlines()
    return {"lines": {(str(number),): line for number, line in enumerate(printed)}}


def score_names(side: Side) -> list[str]:
    """The first column of `sparring metrics`."""
    table = side.type("metrics").partition("\n\n")[0]
    return [line.split()[0] for line in table.splitlines()[1:]]


def judged(words: str, *, page: bool = False):
    """What `sparring judge` finds of these, and its page."""

    def do(side: Side) -> dict[str, Values]:
        printed = side.type(f"judge {words} --json" + " --report judged.html" * page)
        found = {"scores": dict(values(json.loads(printed), score_names(side)))}
        if page:
            found["pages"] = {("judged.html",): (side.folder / "judged.html").read_text(encoding="utf-8")}
        return found

    return do


def study(side: Side) -> dict[str, Values]:
    side.type("compare digits --methods logistic,svm,majority --labels 5 --repeats 6 --jobs 1 --out study --quiet")
    folder, found = side.folder / "study", {}
    for file in sorted(folder.glob("predictions/*.npz")):
        found |= arrays(file)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {
        "rows": dict(values(lines(folder / "results.jsonl"), METHODS)),
        "predictions": found,
        "summary": dict(values(summary, METHODS)),
    }


def page_of(kind: str, before: Side, made: str) -> Task:
    """The page of what BEFORE made, whichever side writes it."""

    def do(side: Side) -> dict[str, Values]:
        shutil.copytree(before.folder / made, side.folder / f"old-{kind}")
        side.type(f"report old-{kind}")
        page = (side.folder / f"old-{kind}" / "report.html").read_text(encoding="utf-8")
        return {"pages": {("report.html",): page}}

    return Task("pages", f"{kind} that BEFORE made", do)


def tasks(parts: Iterable[str]) -> list[Task]:
    found = [*map(game, GAMES), *map(method, METHODS), Task("methods", "fit, classify", model)]
    found += [Task(part, name, judged(words, page=name == "own features")) for part, name, words in JUDGED]
    found += [Task("study", "three methods", study)]
    return sorted((task for task in found if task.part in parts), key=lambda task: PARTS.index(task.part))


# --- the comparison --------------------------------------------------------------------------------------------------


@dataclass
class Compared:
    """What one task gave on both sides."""

    task: Task
    counts: dict[str, int] = field(default_factory=dict)  # kind -> values that are the same
    renamed: list[str] = field(default_factory=list)
    differ: list[str] = field(default_factory=list)

    @property
    def row(self) -> str:
        same = ", ".join(f"{count:,} {kind}" for kind, count in self.counts.items())
        result = "**differs**" if self.differ else "equal, other names" if self.renamed else "equal"
        return f"| {self.task.part} | {self.task.name} | {same or 'nothing'} | {result} |"


def compared(task: Task, before: dict | Failed, after: dict | Failed, names: set[str]) -> Compared:
    """The values that are the same, and sentences about the others."""
    found = Compared(task)
    for side, result in (("BEFORE", before), ("AFTER", after)):
        if isinstance(result, Failed):
            found.differ.append(f"fails in {side}: {result}")
    if found.differ:
        return found
    for kind in sorted(before.keys() | after.keys()):
        a, b = dict(before.get(kind, {})), dict(after.get(kind, {}))
        odd = [place for place in a.keys() & b.keys() if a[place] != b[place]]
        found.counts[kind] = len(a.keys() & b.keys()) - len(odd)
        lost, new = [p for p in a if p not in b], [p for p in b if p not in a]
        pairs = paired({p: a[p] for p in lost}, {p: b[p] for p in new}, names)
        told = short(kind, numbered(f"{dotted(p)} is now {dotted(q)}" for p, q in pairs), NAMES)
        if kind == "tensors":
            found.differ += told
        else:
            found.renamed += told
            found.counts[kind] += len(pairs)
        lost = set(lost) - {p for p, _ in pairs}
        new = set(new) - {q for _, q in pairs}
        found.differ += short(kind, [f"{dotted(p)}{apart(a[p], b[p])}" for p in sorted(odd)], SHOWN)
        found.differ += short(kind, numbered(f"{dotted(p)} only BEFORE" for p in sorted(lost)), NAMES)
        found.differ += short(kind, numbered(f"{dotted(q)} only AFTER" for q in sorted(new)), NAMES)
        if not a and not b:
            found.differ.append(f"{kind}: there are none on either side")
    return found


def paired(lost: Values, new: Values, names: set[str]) -> list[tuple[Place, Place]]:
    """Places of the same value under another name, of the same score or method where it belongs to one."""
    groups: dict[tuple, tuple[list, list]] = defaultdict(lambda: ([], []))
    for side, found in enumerate((lost, new)):
        for place, value in found.items():
            owner = tuple(part for part in place if part in names)
            groups[owner, value][side].append(place)
    return [pair for a, b in groups.values() for pair in zip(sorted(a), sorted(b), strict=False)]


def dotted(place: Place) -> str:
    return ".".join(place) or "value"


def brief(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def apart(a: object, b: object) -> str:
    """Two values, or where two texts begin to differ; of tensors and pictures only that they do."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return " differs" if a[:-1] == b[:-1] else f": {a[:-1]} -> {b[:-1]}"
    if isinstance(a, str) and isinstance(b, str) and "\n" in a + b:
        at = len(os.path.commonprefix([a, b]))
        x, y = (text[max(0, at - 30) : at + 50] for text in (a, b))
        return f", line {a.count(chr(10), 0, at) + 1}: {x!r} -> {y!r}"
    return f": {brief(a)} -> {brief(b)}"


def numbered(sentences: Iterable[str]) -> list[str]:
    """Each sentence once, numbers in its names as #, and how often it came."""
    counts = Counter(re.sub(r"(?<![^.\s])\d+(?![^.\s])", "#", sentence) for sentence in sentences)
    return [sentence + f" ({count:,} times)" * (count > 1) for sentence, count in counts.items()]


def short(kind: str, told: list[str], most: int) -> list[str]:
    """The first of these sentences, and how many there are."""
    more = [f"{kind}: {len(told) - most:,} more like this"] if len(told) > most else []
    return [f"{kind}: {each}" for each in told[:most]] + more


# --- both sides ------------------------------------------------------------------------------------------------------


def done(side: Side, work: list[Task]) -> list[dict | Failed]:
    """What each task gives on one side, in order; one that fails stops no other."""
    found: list[dict | Failed] = []
    for task in work:
        begin = time.perf_counter()
        try:
            found.append(task.do(side))
        except (Failed, OSError, ValueError, KeyError, TypeError) as error:
            found.append(error if isinstance(error, Failed) else Failed(f"{type(error).__name__}: {error}"))
        print(f"{side.name}: {task.part} {task.name}, {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return found


def both(sides: tuple[Side, Side], work: list[Task], names: set[str]) -> list[Compared]:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda side: done(side, work), sides))
    return [compared(task, a, b, names) for task, a, b in zip(work, *results, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--keep", type=Path, help="a new folder for all that is written")
    options = parser.parse_args()
    parts, begin = options.parts.split(","), time.perf_counter()
    if wrong := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(wrong))}; there are {', '.join(PARTS)}")
    if options.keep and options.keep.exists():
        parser.error(f"{options.keep} exists: name a new folder")
    with ExitStack() as stack:
        folder = Path(options.keep or stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        sides = (
            Side.begun("before", options.before.resolve(), folder / "before", stack),
            Side.begun("after", options.after.resolve(), folder / "after", stack),
        )
        for side in sides:
            print(f"{side.checked()}  ", flush=True)
        names = {*score_names(sides[0]), *METHODS}
        found = both(sides, tasks(parts), names)
        if "pages" in parts:
            made = {"study": "study", "run": "run-dcgan"}
            old = [page_of(kind, sides[0], what) for kind, what in made.items() if (sides[0].folder / what).is_dir()]
            found += both(sides, old, names)
    print("\n| part | work | the same | result |\n|---|---|---|---|")
    print("\n".join(each.row for each in found), end="\n\n")
    for each in found:
        for sentence in (*each.differ, *each.renamed):
            print(f"- {each.task.name}: {sentence}")
    odd = sum(bool(each.differ) for each in found)
    print(f"\n{odd} of {len(found)} differ. {time.perf_counter() - begin:.0f} s.")
    sys.exit(bool(odd) or not found)


if __name__ == "__main__":
    main()
