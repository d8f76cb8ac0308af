"""A judgement as one HTML page: what it comes to, the scores, the pictures, and what each score means and misses."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ..files import atomic_file
from ..images import encode_png, grid
from ..judging.catalogue import METRICS
from ..words import MISSING
from .html import template
from .line_figures import spectrum_figure, teaching_figure
from .pictures import Picture, packed
from .typography import NARROW_SPACE, typeset

COLUMNS = 8  # of a grid of images
PILLS = {"better": "better", "worse": "worse", "tie": "tie"}


def write(path: Path | str, judgement: Mapping[str, Any], pictures: Mapping[str, np.ndarray]) -> Path:
    """Writes the page of Judgement.to_json() and Judgement.pictures().

    An older page stays as it was until the new one is complete. Raises MachineError.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(page(judgement, pictures), encoding="utf-8")
    return Path(path)


def page(judgement: Mapping[str, Any], pictures: Mapping[str, np.ndarray]) -> str:
    """The whole page as text."""
    fakes, generators = judgement["fakes"], judgement["generators"]
    rows = rows_of(judgement, generators)
    return template("judgement.html").render(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        protocol=judgement["protocol"],
        stamp=judgement["stamp"],
        sentences=judgement["sentences"],
        fakes=fakes,
        generators=generators,
        trainings=rows_of(judgement, fakes) if len(generators) < len(fakes) else [],
        names=[fake["name"] for fake in fakes],
        rows=rows,
        notes=judgement["notes"],
        classes=[table for table in (class_table(fake) for fake in fakes) if table["rows"] or table["left_out"]],
        verdicts=by_pair(judgement["verdicts"]),
        real=picture(pictures.get("real")),
        made=[picture(pictures.get(f"fakes {number}")) for number in range(len(fakes))],
        nearest=[pairs(fake, pictures.get(f"nearest {number}")) for number, fake in enumerate(fakes)],
        spectra=spectra(fakes),
        curves=[learning(fake) for fake in fakes],
        metrics=[METRICS[row["metric"]] for row in rows],
    )  # fmt: skip


def verdict_row(verdict: Mapping[str, Any]) -> dict[str, Any]:
    metric = METRICS[verdict["metric"]]
    apart = typeset(metric.apart(verdict["mean"], verdict["half"]))
    return {
        **verdict,
        "pill": PILLS.get(verdict["verdict"], "open"),
        "title": metric.title,
        "apart": apart,
    }


def by_pair(verdicts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """In their order, the verdicts on every two generators together."""
    found: dict[tuple[str, str], list] = {}
    for verdict in verdicts:
        found.setdefault((verdict["a"], verdict["b"]), []).append(verdict_row(verdict))
    return [{"a": a, "b": b, "rows": rows} for (a, b), rows in found.items()]


def rows_of(judgement: Mapping[str, Any], sides: Sequence[Mapping[str, Any]]) -> list[dict]:
    """Of the table of scores, a column for each side: generators, or each of their trainings."""
    names = [score["metric"] for score in judgement["fakes"][0]["scores"]]
    return [row for name in names if (row := row_of(name, judgement, sides))]


def row_of(name: str, judgement: Mapping[str, Any], sides: Sequence[Mapping[str, Any]]) -> dict | None:
    """None where no side has this score."""
    metric = METRICS[name]
    each = [score_of(side, name) for side in sides]
    real = next((score for score in judgement["real"] if score["metric"] == name), None)
    if all(score["value"] is None for score in each):
        return None
    return {
        "metric": name,
        "title": metric.title,
        "better": metric.better,
        "headline": metric.leads(min(judgement["protocol"]["fakes"], judgement["protocol"]["real"]["compared"])),
        "cells": [(shown(name, score["value"]), interval(name, score)) for score in each],
        "real": cell(name, real),
    }


def class_table(fake: Mapping[str, Any]) -> dict[str, Any]:
    names = list(dict.fromkeys(score["metric"] for scores in fake["classes"].values() for score in scores))
    rows = [
        (name, [cell(m, next((s for s in scores if s["metric"] == m), None)) for m in names])
        for name, scores in fake["classes"].items()
    ]
    heads = [METRICS[m].title for m in names]
    return {"name": fake["name"], "heads": heads, "rows": rows, "left_out": fake["classes_left_out"]}


def cell(name: str, score: Mapping[str, Any] | None) -> tuple[str, str]:
    """A value, and below it its interval and what is to be said of it."""
    if score is None:
        return MISSING, ""
    said = typeset(score["note"]) if name == "train-on-generated" else ""
    return shown(name, score["value"]), "; ".join(filter(None, (interval(name, score), said)))


def shown(name: str, value: float | None) -> str:
    """As this metric's values are printed."""
    if value is None:
        return MISSING
    return typeset(METRICS[name].shown(value))


def interval(name: str, score: Mapping[str, Any]) -> str:
    if score["low"] is None or score["high"] is None:
        return ""
    return f"{shown(name, score['low'])} to {shown(name, score['high'])}".replace(f"{NARROW_SPACE}%", "", 1)


def picture(images: np.ndarray | None, columns: int = COLUMNS) -> Picture | None:
    return None if images is None or not len(images) else packed(encode_png(grid(images, columns=columns)))


def pairs(fake: Mapping[str, Any], images: np.ndarray | None) -> dict[str, Any] | None:
    """Fakes above the training images that they are nearest to."""
    if images is None or not len(images):
        return None
    both = np.concatenate([images[0::2], images[1::2]])
    return {"name": fake["name"], "picture": picture(both, len(images) // 2), "rows": ["fake", "training image"],
            "origins": [(pair["fake"], pair["training"]) for pair in fake["nearest"]]}  # fmt: skip


def score_of(fake: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    return next((score for score in fake["scores"] if score["metric"] == metric), {})


def spectra(fakes: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Of real images and of each generator that has one, a mean over its trainings."""
    known: dict[str, list] = {}
    for fake in fakes:
        if shows := score_of(fake, "spectrum").get("shows"):
            known.setdefault(fake["generator"], []).append(shows)
    if not known:
        return None
    means = [(name, np.mean([shows["fake"] for shows in each], 0).tolist()) for name, each in known.items()]
    return spectrum_figure(next(iter(known.values()))[0]["real"], means)


def learning(fake: Mapping[str, Any]) -> dict[str, Any] | None:
    score = score_of(fake, "train-on-generated")
    if not score or score["value"] is None:
        return None
    figure = teaching_figure(score["shows"]["curve"], score["value"], fake["name"])
    return {"name": fake["name"], "figure": figure, "note": score["note"]}
