"""False alarms of the watch on healthy runs, and what it does about injected faults.

    python benchmarks/watch.py healthy --seeds 0-3 --out FILE    runs that nothing is wrong with
    python benchmarks/watch.py slow --seeds 0-0 --out FILE       the same, of recipes whose rounds take long
    python benchmarks/watch.py long --seeds 0-0 --out FILE       the same, of 3,000 rounds each
    python benchmarks/watch.py faults --seeds 0-2 --out FILE     runs into which a fault is put (G01 to G15)
    python benchmarks/watch.py leaks --seeds 22-23               is `leak` right? Another judge looks at samples
    python benchmarks/watch.py cost                              what it costs, dcgan on MNIST
    python benchmarks/watch.py table FILE                        the Markdown of benchmarks/results/watch.md

Runs are small: thin networks on small images, 400 to 10,000 rounds, one thread. FILE holds a JSON line per run: its
events, and the furthest that each signal went (for calibration).
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from sklearn.svm import SVC

from sparring import files
from sparring.data import load
from sparring.errors import DataError, Diverged
from sparring.games import training
from sparring.games.augment import ADA, DiffAugment
from sparring.games.builders import augmented
from sparring.games.recipes import RECIPES
from sparring.images import to_unit
from sparring.records import from_json, to_json
from sparring.runs import driver, monitor, pools, rollback
from sparring.runs.checkpoints import save_state
from sparring.runs.folder import read_generator

DATA = Path(__file__).parents[1] / "../shared/data"
ILL = ("suspect", "warning", "went back", "diverged")


# --- small things to train on ----------------------------------------------------------------------------------------


def thin(recipe):
    """A quarter of the width."""
    text = (
        json.dumps(to_json(recipe)).replace('"width": 64', '"width": 16').replace('"widths": [256]', '"widths": [64]')
    )
    return from_json(json.loads(text))


SOME = {"thousand": 1000, "250": 250}


@cache
def images(name: str):
    """digits: 1,797 of 8x8. half: 5,000 MNIST digits of 14x14; labels of all but 300 hidden in few.

    thousand, 250: the first so many of them. ten: 500 copies of ten.
    """
    if name == "digits":
        return load("digits")
    with np.load(DATA / "mnist.npz") as file:
        x, y = file["x_train"][:5000], file["y_train"][:5000].astype(np.int64)
    x = x.reshape(-1, 14, 2, 14, 2).mean((2, 4)).round().astype(np.uint8)
    if name == "few":
        y = np.where(np.arange(len(y)) < 300, y, -1)
    if name in SOME:
        x, y = x[: SOME[name]], y[: SOME[name]]
    if name == "ten":
        x, y = np.tile(x[:10], (500, 1, 1)), np.tile(y[:10], 500)
    return x, y


@dataclass(frozen=True)
class Case:
    recipe: str
    data: str
    rounds: int
    augment: str = "auto"
    batch: int = 32
    wide: bool = False

    @property
    def built(self):
        recipe = RECIPES[self.recipe]
        return replace(recipe if self.wide else thin(recipe), batch=self.batch)

    @property
    def name(self) -> str:
        return " ".join([self.recipe, self.data, *([self.augment] if self.augment != "auto" else [])])


def healthy_cases() -> list[Case]:
    names = "mlp minimax dcgan lsgan sngan infogan cgan acgan projection semi bad-gan autoencoder vae cvae".split()
    cases = [Case(name, "digits", 500) for name in names]
    cases += [Case(name, "half", 500, "none") for name in ("mlp", "dcgan", "cgan")]
    return [*cases, Case("dcgan", "digits", 500, "none"), Case("cgan", "digits", 500, "ada")]


def slow_cases() -> list[Case]:
    names = "wgan wgan-gp improved sagan r3gan biggan r3gan-class".split()
    return [Case(name, "digits", 400) for name in names]


def long_cases() -> list[Case]:
    """Long enough for every signal, with and without augmentation."""
    cases = [Case(name, "digits", 3000) for name in "dcgan cgan infogan".split()]
    cases += [Case(name, "thousand", 3000) for name in "sngan r3gan".split()]
    return [*cases, Case("dcgan", "half", 3000, "ada"), Case("mlp", "half", 3000, "none"), Case("lsgan", "half", 3000)]


CASES = {"healthy": healthy_cases, "slow": slow_cases, "long": long_cases}


# --- how far every signal went ----------------------------------------------------------------------------------------


class Furthest:
    """Wraps the signals that the watch calls, and keeps the extreme of what they were given."""

    def __init__(self):
        self.values: dict[str, float] = {}

    def least(self, name: str, value: float) -> None:
        self.values[name] = min(value, self.values.get(name, math.inf))

    def most(self, name: str, value: float) -> None:
        self.values[name] = max(value, self.values.get(name, -math.inf))

    def read(self, name: str, given: tuple) -> None:
        if name == "collapsed":
            kind = "alike class" if len(given) == 4 else "alike"
            if given[2]:
                self.least(f"{kind}, late", given[0])
            if given[1] > 0.2:
                self.least(f"{kind} of best", given[0] / given[1])
        elif name == "class_lost":
            if given[1] > 0.6:
                self.least("mixed of best", given[0] / given[1])
        elif name == "one_sided":
            self.most("D wins", min(given[:2]))
            if given[2] > 0.4:
                self.least("D loses", min(given[:2]))
        elif name == "overfitting":
            self.most("D overfits", 2 * (given[0] - given[1]))
        elif name == "copies_found":
            self.least("copies", given[0] / given[1])
        elif name == "exploding" and len(given[2]) >= 50 and given[1]:
            middle = statistics.median(given[2])
            spread = max(0.15, 1.4826 * statistics.median(abs(v - middle) for v in given[2]))
            z = [(v - middle) / spread for v in given[1]]
            self.most("gradient z", max(z))
            self.most(
                "gradient z, 3 of 5", max(sorted(z[i : i + 5])[-3] for i in range(max(1, len(z) - 4)) if len(z) > 2)
            )
        elif name == "off_colours" and (given[1] > 0.6 or given[2]):
            self.most("colour", given[0])
        elif name == "augmentation_leaks":
            self.most("leak", given[0])

    def patches(self):
        for name in ("collapsed", "class_lost", "one_sided", "overfitting", "copies_found", "exploding", "off_colours",
                     "augmentation_leaks"):  # fmt: skip
            real = getattr(monitor, name)

            def wrapped(*given, name=name, real=real):
                self.read(name, given)
                return real(*given)

            yield mock.patch.object(monitor, name, wrapped)
        moved = monitor.SampleCheck.standing_still

        def change(samples, fakes, record):
            before, found = record.seen, moved(samples, fakes, record)
            if before and record.age >= monitor.GRACE:
                self.least("change", math.sqrt(np.square(np.subtract(record.seen, before)).mean()))
            return found

        yield mock.patch.object(monitor.SampleCheck, "standing_still", change)


# --- faults -----------------------------------------------------------------------------------------------------------


def nan_gradient(state, data, first):
    if first:
        p = next(state.nets["G"].parameters())
        hook = p.register_hook(lambda g: (hook.remove(), g.flatten()[0].fill_(math.nan), g)[-1])


def huge_batch(state, data, first):
    if first:
        given = training.ShardContext.batch

        def once(context, field, pool, ratio):
            x = given(context, field, pool, ratio)
            if field == "x":
                training.ShardContext.batch = given
                return x * 1e4
            return x

        training.ShardContext.batch = once


def faster(times, player):
    def fault(state, data, first):
        if first:
            optimiser = state.optimisers[player]
            for hook in getattr(optimiser, "fault", []):
                hook.remove()

            def step(optimiser, *_):
                for group in optimiser.param_groups:
                    group["lr"] *= times if optimiser.ill else 1

            optimiser.ill, optimiser.fault = True, [optimiser.register_step_pre_hook(step)]

    def cure(state, data):
        state.optimisers[player].ill = False

    fault.cure = cure
    return fault


def deaf(state, data, first):
    """G does not listen to its noise: perfect collapse."""
    if first:
        G, forward = state.nets["G"], type(state.nets["G"]).forward
        G.forward = lambda z, *about, draw=None: forward(G, torch.zeros_like(z), *about, draw=draw)


deaf.cure = lambda state, data: state.nets["G"].__dict__.pop("forward")


def moved_labels(state, data, first):
    for pool in data.values():
        pool["y"][pool["y"] == 3] = 5


def overflowing(state, data, first):
    if first:
        G, forward = state.nets["G"], type(state.nets["G"]).forward

        def over(z, *about, draw=None):
            x = forward(G, z, *about, draw=draw)
            return x * math.inf if torch.is_autocast_enabled("cpu") else x

        G.forward = over


def forced(state, data, first):
    state.nets["D"].augment_probability.fill_(1.0)


@dataclass(frozen=True)
class Fault:
    id: str
    what: str
    case: Case
    inject: object  # called with (state, data, first) after every round from `at` on
    expects: tuple[str, ...]  # signals, any of which is right
    at: int = 370
    for_ever: bool = False
    precision: str = "fp32"
    change: object = None  # of the recipe
    held: float = pools.HELD_SHARE


DCGAN, CGAN = Case("dcgan", "digits", 560, "none"), Case("cgan", "digits", 1400, "none")


def turned(recipe):
    return augmented(recipe, ADA(rotation=0.0, quarter_turns=True))


FAULTS = [
    Fault("G01", "one gradient element of G is NaN", DCGAN, nan_gradient, ("left out",)),
    Fault("G02", "one batch of real images times 10,000", Case("lsgan", "half", 560, "none"), huge_batch,
          ("exploding D",)),
    Fault("G02", "the same, one of five moves of D", Case("wgan-gp", "half", 560, "none"), huge_batch,
          ("exploding D",)),
    Fault("G03", "learning rate of D times 30", DCGAN, faster(30, "D"), ("any",)),
    Fault("G04", "200 images, not augmented", Case("dcgan", "250", 10_000, "none", wide=True), None,
          ("D overfits",), 0, True, held=0.2),
    Fault("G05", "10 images, 500 copies of each", Case("dcgan", "ten", 560, "none"), None, ("duplicates", "copies"), 0,
          True),
    Fault("G06", "G's noise is always 0", DCGAN, deaf, ("alike",)),
    Fault("G07", "labels of class 3 become 5", CGAN, moved_labels, ("mixed 3", "mixed 5", "alike 3"), 820, True),
    Fault("G08", "G frozen", DCGAN, faster(0, "G"), ("frozen G", "frozen samples"), for_ever=True),
    Fault("G08", "D frozen", DCGAN, faster(0, "D"), ("frozen D",), for_ever=True),
    Fault("G09", "bf16 overflows", Case("dcgan", "digits", 450, "none"), overflowing, ("not finite",), 320, True,
          "bf16"),
    Fault("G10", "augmentation always, by quarter turns", Case("dcgan", "half", 3200), forced, ("leak",), 0, True,
          change=turned),
    Fault("G15", "G06 for ever", replace(DCGAN, rounds=800), deaf, ("alike",), 610, for_ever=True),
]  # fmt: skip


def injected(fault: Fault, ill: dict):
    """`training`, with a fault put in after round `fault.at`, and taken out when the watch has gone back."""
    real = driver.training

    def training(recipe, state, data, **settings):
        for _, means in real(recipe, state, data, **settings):
            yield state, means
            if ill.get("skipped") is None and state.skipped:
                ill["skipped"] = state.round
            if fault.inject is None or state.round < fault.at or (state.attempt and not fault.for_ever):
                if state.attempt and ill.get("sick") and hasattr(fault.inject, "cure"):
                    fault.inject.cure(state, data)
                ill["sick"] = False
                continue
            fault.inject(state, data, not ill.get("sick"))
            ill["sick"] = True

    return training


# --- runs -------------------------------------------------------------------------------------------------------------


def one(case: Case, seed: int, fault: Fault | None = None, *, acts: bool = True) -> dict:
    """Trains, and returns what happened."""
    recipe, ill, furthest = case.built, {}, Furthest()
    recipe = fault.change(recipe) if fault and fault.change else recipe
    start, last, error = time.process_time(), None, ""
    given = training.ShardContext.batch
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for patch in furthest.patches():
            stack.enter_context(patch)
        stack.enter_context(mock.patch.object(driver, "LINES", 20))  # of the log: nobody reads it here
        stack.enter_context(mock.patch.object(files, "sync", lambda _: None))
        if not acts:
            stack.enter_context(mock.patch.object(rollback, "confirmed", lambda *_: []))
        if fault:
            stack.enter_context(mock.patch.object(driver, "training", injected(fault, ill)))
            stack.enter_context(mock.patch.object(pools, "HELD_SHARE", fault.held))
        try:
            settings = {"images": case.rounds * recipe.batch, "seed": seed}
            precision = fault.precision if fault else "fp32"
            data = images(case.data)
            options = driver.TrainOptions(**settings, precision=precision, augment=case.augment)
            *_, last = driver.train_steps(data, recipe, Path(folder) / "run", options)
        except Diverged as diverged:
            error = str(diverged)
        training.ShardContext.batch = given
        events = [json.loads(line) for line in (Path(folder) / "run/events.jsonl").read_text().splitlines()]
        model = (Path(folder) / "run/model").is_dir()
    told = [
        {k: e[k] for k in ("event", "round", "signal", "signals", "to", "change", "words") if k in e}
        for e in events
        if e["event"] in ILL
    ]
    return {
        "kind": "fault" if fault else "healthy", "id": fault and fault.id, "what": fault and fault.what,
        "case": case.name, "rounds": case.rounds, "batch": recipe.batch, "seed": seed, "events": told,
        "skipped": ill.get("skipped"), "at": fault and fault.at, "expects": fault and fault.expects,
        "error": error, "model": model, "recovered": last.recovered if last else 0,
        "done": bool(last and last.done), "furthest": {k: round(v, 4) for k, v in furthest.values.items()},
        "seconds": round(time.process_time() - start, 1),
    }  # fmt: skip


def signals(event: dict) -> list[str]:
    return event.get("signals", [event.get("signal", "")])


def say(row: dict, out: Path | None) -> None:
    if out:
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
    told = "; ".join(f"{e['event']} @{e['round']} {','.join(signals(e))}" for e in row["events"])
    print(
        f"{row['id'] or ''} {row['what'] or ''} {row['case']} seed {row['seed']}: {row['seconds']} s {told}", flush=True
    )


def refused_range() -> bool:
    """G12: images of floats from 0 to 255."""
    recipe = thin(RECIPES["dcgan"])
    state = training.new_state(recipe, training.DataSpec(1, 14, 14, 10))
    with suppress(DataError):
        next(driver.training(recipe, state, {"all": {"x": torch.rand(64, 1, 14, 14) * 255}}, images=64))
        return False
    return True


def leaks(seeds: range, names: tuple[str, ...] = ("infogan", "dcgan")) -> None:
    """How many samples a support vector machine takes for images as DiffAugment shows them: a second opinion."""
    x = load("digits").images
    augment, chance = DiffAugment(), torch.Generator().manual_seed(0)
    shown = augment.apply(to_unit(x), torch.rand(len(x), augment.numbers, generator=chance)).flatten(1).numpy()
    plain, order = to_unit(x).flatten(1).numpy(), np.random.default_rng(0).permutation(len(x))
    known, new = order[:900], order[900:]
    discriminator = SVC(C=10.0).fit(np.r_[plain[known], shown[known]], np.repeat([0, 1], 900))
    share = lambda images: f"{100 * discriminator.predict(images).mean():.0f} %"  # noqa: E731
    print(f"taken for augmented: {share(plain[new])} of new images, {share(shown[new])} of new ones augmented")
    for case in (Case(name, "digits", 3000) for name in names):
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                images = case.rounds * case.batch
                driver.train(load("digits"), case.built, folder + "/run", images=images, seed=seed)
                sampler = read_generator(folder + "/run")
                told = "leak" in Path(folder, "run/events.jsonl").read_text()
            samples = to_unit(sampler.draw(1000)).flatten(1).numpy()
            print(f"{case.name} seed {seed}: {share(samples)} of samples; the watch says {'leak' * told or 'nothing'}")


def cost(rounds: int = 3125, count: int = 15) -> None:
    """CPU seconds of a round, of a look and of a copy, in turns: dcgan with its default widths on MNIST."""
    used, held = pools.parted(load(DATA / "mnist.npz"), 256, 0)
    recipe, data, data_spec = RECIPES["dcgan"], pools.pools(used), training.DataSpec(1, 28, 28, 10)
    start = time.process_time()
    look = monitor.Monitor(recipe, data_spec, data, pools.pools(held), rounds=rounds, record={"age": 1000})
    begin, state, times = time.process_time() - start, training.new_state(recipe, data_spec), defaultdict(list)
    steps = driver.training(recipe, state, data, images=count * recipe.batch)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            for name, work in (
                ("round", lambda: look.note(*next(steps))),
                ("look", lambda: look.look(state)),
                ("copy", lambda number=number: save_state(state, recipe, Path(folder) / str(number))),
            ):
                start = time.process_time()
                work()
                times[name].append(time.process_time() - start)
    one, seen, kept = (statistics.median(times[name]) for name in ("round", "look", "copy"))
    print(f"at the start {begin:.2f} s; a round {one:.3f} s, a look {seen:.3f} s, a copy {kept:.3f} s")
    share = 100 * (seen + kept / monitor.WINDOW) / (look.tick * one)
    print(f"a look every {look.tick} rounds, a copy every {monitor.WINDOW} looks: {share:.1f} % of {rounds} rounds")


def table(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    healthy, ill = [r for r in rows if r["kind"] == "healthy"], [r for r in rows if r["kind"] == "fault"]
    by_case = defaultdict(list)
    for r in healthy:
        by_case[r["case"]].append(r)
    acted = [r for r in healthy if any(e["event"] in ("went back", "diverged", "warning") for e in r["events"])]
    once = [r for r in healthy if any(e["event"] == "suspect" for e in r["events"])]
    print(f"{len(healthy)} healthy runs: {len(acted)} false alarms, {len(once)} with a suspicion that passed\n")
    print("| recipe and data | runs | rounds | alarms | passing suspicions |\n|---|---|---|---|---|")
    for name, group in by_case.items():
        alarms = [",".join(signals(e)) for r in group for e in r["events"] if e["event"] != "suspect"]
        passing = [e["signal"] for r in group for e in r["events"] if e["event"] == "suspect"]
        words = [", ".join(sorted(set(found))) or "" for found in (alarms, passing)]
        print(f"| {name} | {len(group)} | {group[0]['rounds']} | {words[0]} | {words[1]} |")
    print(
        "\n| fault | runs | fired | first sign after, images | acted after, images | then |\n|---|---|---|---|---|---|"
    )
    groups = defaultdict(list)
    for r in ill:
        groups[r["id"], r["what"]].append(r)
    for (id, what), group in groups.items():
        print(f"| {id} {what} | {len(group)} | {' | '.join(outcome(group))} |")


def outcome(group: list[dict]) -> tuple[str, ...]:
    first, acted, then = [], [], []
    for r in group:
        later = [e for e in r["events"] if e["round"] >= r["at"]]
        if (sign := first_sign(r)) is not None:
            first.append((sign - r["at"]) * r["batch"])
        actions = [e for e in later if e["event"] == "went back"]
        acted += [(actions[0]["round"] - r["at"]) * r["batch"]] if actions else []
        end = "gave up" + (", model kept" if r["model"] else "") if r["error"] else "done"
        then.append(end + (f" after going back {r['recovered']}x" if r["recovered"] and not r["error"] else ""))
    ends = ", ".join(f"{then.count(t)} {t}" for t in dict.fromkeys(then))
    middle = [f"{statistics.median(v):,.0f}" if v else "" for v in (first, acted)]
    return f"{len(first)} of {len(group)}", *middle, ends


def first_sign(row: dict) -> int | None:
    """The round in which an expected signal spoke, if any did."""
    if list(row["expects"]) == ["left out"]:
        return row["skipped"]
    hits = [
        e["round"]
        for e in row["events"]
        if e["round"] >= row["at"] and ("any" in row["expects"] or set(signals(e)) & set(row["expects"]))
    ]
    return hits[0] if hits else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*CASES, "faults", "leaks", "cost", "table"])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--seeds", default="0-0")
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--idle", action="store_true", help="do nothing about what is found, for calibration")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    first, last = map(int, asked.seeds.split("-"))
    if asked.what == "table":
        table(asked.file)
    elif asked.what == "leaks":
        leaks(range(first, last + 1))
    elif asked.what == "cost":
        cost()
    elif asked.what in CASES:
        for seed in range(first, last + 1):
            for case in (c for c in CASES[asked.what]() if asked.only in c.name):
                say(one(case, seed, acts=not asked.idle), asked.out)
    else:
        refused, silent = refused_range(), []
        print("G12 images from 0 to 255:", "refused" if refused else "NOT REFUSED", flush=True)
        for seed in range(first, last + 1):
            for fault in (f for f in FAULTS if asked.only in f"{f.id} {f.what}"):
                row = one(fault.case, seed, fault)
                say(row, asked.out)
                silent += [] if first_sign(row) is not None else [f"{fault.id} seed {seed}"]
        if silent or not refused:
            sys.exit(f"not noticed: {', '.join(silent) or 'G12'}")


if __name__ == "__main__":
    main()
