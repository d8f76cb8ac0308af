"""From rows and predictions to the measured part of a summary: every number, and no opinion.

Pure but for the files it reads: the same rows give the same numbers at any time.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from .. import stats
from ..devices import hardware, versions
from ..errors import FileFormatError
from .plan import SEAL, Study, now
from .sealed import Sealed

ABLATIONS = (
    ("unlabelled images", "consistency", "cnn"),
    ("the GAN", "semi-gan", "consistency"),
    ("generated images", "gan-augment", "cnn"),
)


@dataclass(frozen=True, eq=False)
class Arm:
    """The ok rows of a method at a budget, repeats ascending, and what they got right."""

    method: str
    budget: str
    rows: list[dict]
    right: np.ndarray  # bool [R,T]
    summed: np.ndarray  # float64 [T,K]: probabilities added up over repeats

    @property
    def repeats(self) -> list[int]:
        return [row["repeat"] for row in self.rows]


def measure(study: Study) -> tuple[dict, dict[tuple[str, str], Arm], np.ndarray]:
    """The summary without opinions and pictures, the arms by (method, budget), and the true classes [T].

    Opens the seal; a look is counted unless the same rows were looked at before. Raises FileFormatError when rows of
    one repeat cannot be compared.
    """
    rows = study.rows()
    told = study.told
    refuse_mixed(list(rows.values()))
    sealed = Sealed.read(study.folder / SEAL, told["fingerprint"])
    truth = sealed.opened(lambda: count_look(study, rows))
    classes = told["data"]["classes"]
    arms: dict[tuple[str, str], Arm] = {}
    scores, confusion, reliability, per_class = [], [], [], []
    for method in told["methods"]:
        for budget in told["budgets"]:
            mine = sorted((r for r in rows.values() if (r["method"], r["budget"]) == (method["name"], budget)),
                          key=lambda r: r["repeat"])  # fmt: skip
            failed = sum(row["status"] == "error" for row in mine)
            arm, proba = read_arm(study, method["name"], budget, mine, truth)
            scores.append(score(method["name"], budget, arm, proba, truth, len(classes), failed))
            if arm is None or proba is None:
                continue
            arms[arm.method, arm.budget] = arm
            confusion.append({"method": arm.method, "budget": budget, "counts": confused(proba, truth, len(classes))})
            reliability.append({"method": arm.method, "budget": budget, "bins": bins(proba, truth)})
            per_class += recalled(arm, truth, classes)
    pairs = compared(arms, told["budgets"], [m["name"] for m in told["methods"]])
    summary = {
        "format": 1,
        "created": now(),
        "command": told["command"],
        "name": told["data"]["name"],
        "sparring": versions()["sparring"],
        "versions": versions(),
        "machine": machine(study, rows),
        "data": told["data"],
        "test": {"images": len(truth), "looks": len(told["looks"])},
        "repeats": told["repeats"],
        "seed": told["settings"]["seed"],
        "fingerprint": told["fingerprint"],
        "minutes_each": told["minutes_each"],
        "budgets": [{"budget": b, "labels": told["labels"][b]} for b in told["budgets"]],
        "methods": told["methods"],
        "scores": scores,
        "errors": errors(rows),
        "pairs": pairs,
        "tie_groups": groups(arms, pairs, told["budgets"]),
        "per_class": per_class,
        "confusion": confusion,
        "reliability": reliability,
        "games": list(games(rows, told["methods"])),
        "gates": list(gates(rows)),
        "notes": [*shortened(rows), *unequal(rows, told["methods"])],
        "ablations": list(ablations(pairs)),
        "covers": covers(told["budgets"]),
    }
    return summary, arms, truth


# Guards.


def refuse_mixed(rows: list[dict]) -> None:
    """Rule 3: all arms of a repeat at a budget saw the same labels and seed."""
    seen: dict[tuple, tuple] = {}
    for row in rows:
        place, drawn = (row["budget"], row["repeat"]), (row["draw"], row["labels"], row["seed"])
        if seen.setdefault(place, drawn) != drawn:
            raise FileFormatError(
                "rows-mixed",
                f"{row['method']} saw other labels than another method in repeat {row['repeat']} at {row['budget']}",
                fix="rows of two studies were put together: repeat the study in a new folder",
            )


def count_look(study: Study, rows: dict) -> None:
    """Rule 1: study.json counts the look before it happens. The same rows show nothing new, however often."""
    seen = sorted(json.dumps([*cell, row["status"], row.get("digest")]) for cell, row in rows.items())
    look = hashlib.blake2b("\n".join(seen).encode(), digest_size=8).hexdigest()
    if look not in {old["rows"] for old in study.told["looks"]}:
        study.told["looks"].append({"when": now(), "rows": look, "count": len(rows)})
        study.save()


# One method at one budget.


def read_arm(study: Study, method: str, budget: str, rows: list[dict], truth: np.ndarray):
    """(Arm, probabilities float32 [R,T,K]), or (None, None) when no fit succeeded."""
    found = [(row, study.proba(row)) for row in rows if row["status"] == "ok"]
    found = [(row, proba) for row, proba in found if proba is not None]
    if not found:
        return None, None
    proba = np.stack([proba for _, proba in found])
    right = proba.argmax(-1) == truth
    return Arm(method, budget, [row for row, _ in found], right, proba.sum(0, dtype=float)), proba


def score(method: str, budget: str, arm: Arm | None, proba, truth, classes: int, failed: int) -> dict:
    nothing = {"mean": None, "low": None, "high": None}
    row = {"method": method, "budget": budget, "n": 0, "failed": failed}
    if arm is None:
        several = {name: {**nothing, "each": []} for name in ("accuracy", "balanced_accuracy")}
        single = dict.fromkeys(("ece", "nll", "brier"), nothing)
        return {**row, **several, **single, "seconds": {"median": None, "each": []}}
    balanced = np.nanmean(stats.recalls(arm.right, truth, classes), 1)
    measures = stats.calibration(proba, truth)
    seconds = [r["seconds"] for r in arm.rows]
    return {
        **row,
        "n": len(arm.rows),
        "accuracy": {**interval(stats.share_interval(arm.right)), "each": rounded(arm.right.mean(1))},
        "balanced_accuracy": {
            **interval(stats.balanced_interval(arm.right, truth, classes)),
            "each": rounded(balanced),
        },
        **{name: interval(value) for name, value in measures._asdict().items()},
        "seconds": {"median": float(np.median(seconds)), "each": seconds},
    }


def interval(found: stats.Interval) -> dict:
    return {name: number(value) for name, value in zip(("mean", "low", "high"), found, strict=True)}


def number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 6) for v in values]


def confused(proba: np.ndarray, truth: np.ndarray, classes: int) -> list[list[int]]:
    """Counts [K][K], rows true, columns said, summed over repeats."""
    counts = np.zeros((classes, classes), int)
    for said in proba.argmax(-1):
        np.add.at(counts, (truth, said), 1)
    return counts.tolist()


def bins(proba: np.ndarray, truth: np.ndarray) -> list[dict]:
    """A reliability diagram over all repeats; counts are per repeat."""
    repeats = len(proba)
    curve = stats.Calibration(proba.max(-1).ravel(), (proba.argmax(-1) == truth).ravel())
    return [{"confidence": number(b.confidence), "accuracy": number(b.accuracy), "count": number(b.count / repeats)}
            for b in curve.table()]  # fmt: skip


def recalled(arm: Arm, truth: np.ndarray, classes: list[str]) -> Iterator[dict]:
    """Recall per class of the test part, with the number of images of it; `right` is a mean over repeats."""
    for k, name in enumerate(classes):
        right = arm.right[:, truth == k]
        if right.shape[1]:
            found = stats.share_interval(right)
            row = {"method": arm.method, "budget": arm.budget, "class": name, "right": number(right.mean(0).sum())}
            yield {**row, "of": right.shape[1], "recall": number(found.mean), "low": number(found.low),
                   "high": number(found.high)}  # fmt: skip


# Methods against each other.


def compared(arms: dict[tuple[str, str], Arm], budgets: list[str], methods: list[str]) -> list[dict]:
    """Every pair at every budget, the more accurate one as a; Holm over all of them."""
    places, family = [], []
    for budget in budgets:
        for first, second in combinations([arms[m, budget] for m in methods if (m, budget) in arms], 2):
            a, b = (first, second) if first.right.mean() >= second.right.mean() else (second, first)
            common = sorted(set(a.repeats) & set(b.repeats))
            if common:
                right = [arm.right[[arm.repeats.index(r) for r in common]] for arm in (a, b)]
                places.append((budget, a.method, b.method))
                family.append(stats.paired(*right))
    return [
        {
            "budget": budget,
            "a": a,
            "b": b,
            "difference": {"mean": number(pair.mean), "low": number(pair.low), "high": number(pair.high),
                           "each": rounded(np.array(pair.each))},
            "n": pair.repeats,
            "p": number(pair.p),
            "p_sign_flip": number(pair.p_sign_flip),
            "p_holm": number(pair.p_holm),
            "p_tost": number(pair.p_tost),
            "verdict": pair.verdict,
            "sentence": f"{a} against {b}: {pair.sentence}",
        }
        for (budget, a, b), pair in zip(places, stats.judged(family), strict=True)
    ]  # fmt: skip


def groups(arms: dict[tuple[str, str], Arm], pairs: list[dict], budgets: list[str]) -> list[dict]:
    better = {(p["budget"], p["a"], p["b"]) for p in pairs if p["verdict"] == "better"}
    better |= {(p["budget"], p["b"], p["a"]) for p in pairs if p["verdict"] == "worse"}
    found = []
    for budget in budgets:
        accuracy = {arm.method: float(arm.right.mean()) for arm in arms.values() if arm.budget == budget}
        grouped = stats.tie_groups(list(accuracy), accuracy, lambda a, b, at=budget: (at, a, b) in better)
        found.append({"budget": budget, "groups": grouped})
    return found


def ablations(pairs: list[dict]) -> Iterator[dict]:
    """What unlabelled images, the GAN and generated images brought, read off pairs that differ in nothing else."""
    other = {"better": "worse", "worse": "better"}
    for what, a, b in ABLATIONS:
        for pair in pairs:
            if {pair["a"], pair["b"]} != {a, b}:
                continue
            difference, verdict = pair["difference"], pair["verdict"]
            if pair["a"] != a:
                low, high = difference["low"], difference["high"]
                difference = {
                    "mean": -difference["mean"],
                    "low": None if high is None else -high,
                    "high": None if low is None else -low,
                    "each": [-d for d in difference["each"]],
                }
                verdict = other.get(verdict, verdict)
            yield {"what": what, "budget": pair["budget"], "a": a, "b": b, "difference": difference,
                   "n": pair["n"], "p_holm": pair["p_holm"], "verdict": verdict}  # fmt: skip


def covers(budgets: list[str]) -> str:
    """What intervals and verdicts speak about."""
    text = (
        "Intervals and verdicts speak about new draws of the labelled images, new random seeds and new test images of "
        "the same kind. They do not speak about other data, other settings or other amounts of unlabelled images."
    )
    everything = " At all labels nothing is drawn: there they speak about seeds and test images only."
    return text + (everything if "all" in budgets else "")


# From records.


def errors(rows: dict) -> list[dict]:
    return [{"method": r["method"], "budget": r["budget"], "repeat": r["repeat"], "id": r["error"]["id"],
             "reason": r["error"]["reason"]} for r in rows.values() if r["status"] == "error"]  # fmt: skip


def games(rows: dict, methods: list[dict]) -> Iterator[dict]:
    """Curves and pictures of GAN arms: the first repeat that worked at each budget."""
    gans = {m["name"] for m in methods if m["family"] == "gan"}
    seen = set()
    for row in sorted(rows.values(), key=lambda r: r["repeat"]):
        place = row["method"], row["budget"]
        if row["method"] in gans and row["status"] == "ok" and place not in seen:
            record, pictures = row["record"], row["pictures"]
            if record.get("curves") or pictures:
                seen.add(place)
                yield {
                    **{name: row[name] for name in ("method", "budget", "repeat")},
                    "curves": record.get("gan_curves") or record.get("curves", {}),
                    "generated": pictures.get("generated"),
                    "real": pictures.get("real"),
                    "note": record.get("note"),
                }


def gates(rows: dict) -> Iterator[dict]:
    for row in sorted(rows.values(), key=lambda r: r["repeat"]):
        gate = row["record"].get("gate") if row["status"] == "ok" else None
        if isinstance(gate, dict):
            keys = ("passed", "without", "with", "difference", "low", "high", "sentence")
            place = {name: row[name] for name in ("method", "budget", "repeat")}
            yield {**place, **{key: gate.get(key) for key in keys}}


def shortened(rows: dict) -> Iterator[str]:
    """Networks that the time limit left with less than half of their steps were not tried at their best."""
    cut: dict[str, list[tuple[int, int]]] = {}
    for row in rows.values():
        taken, planned = row["record"].get("steps"), row["record"].get("planned")
        if row["status"] == "ok" and isinstance(taken, int) and isinstance(planned, int) and 2 * taken < planned:
            cut.setdefault(row["budget"], []).append((taken, planned))
    for budget, found in cut.items():
        taken, planned = np.mean(found, axis=0)
        yield (
            f"at {budget} labels the time limit left networks {taken:,.0f} of {planned:,.0f} steps: with more "
            "--minutes, or without it, they may do much better"
        )


def unequal(rows: dict, methods: list[dict]) -> Iterator[str]:
    """Rule 3, the part that a table can only tell: network arms that took other numbers of steps, and why."""
    networks = {m["name"] for m in methods if m["family"] in ("network", "gan")}
    steps: dict[tuple, dict[str, int]] = {}
    for row in rows.values():
        taken = row["record"].get("steps")
        if row["method"] in networks and row["status"] == "ok" and isinstance(taken, int):
            steps.setdefault((row["budget"], row["repeat"]), {})[row["method"]] = taken
    for budget in dict.fromkeys(budget for budget, _ in steps):
        mine = [taken for (b, _), taken in steps.items() if b == budget and len(set(taken.values())) > 1]
        if mine:
            names = dict.fromkeys(name for taken in mine for name in taken)
            means = {n: np.mean([taken[n] for taken in mine if n in taken]) for n in names}
            said = ", ".join(f"{name} {mean:,.0f}" for name, mean in means.items())
            yield f"at {budget} labels the networks did not take the same number of steps ({said}): the time ran out"


def machine(study: Study, rows: dict) -> dict:
    """Of the rows: where they differ, of the last."""
    last: dict[str, Any] = next((r for r in reversed(rows.values()) if r["hardware"]), {})
    precision = next((r["record"].get("precision") for r in rows.values() if r["record"].get("precision")), None)
    found = {**(last.get("hardware") or hardware()), "precision": precision}
    return {**found, "threads": last.get("threads"), "jobs": study.told["jobs"]["jobs"]}
