"""What the page says in words and tables, as plain values for the template; figures are in figures.py."""

import math
from typing import Any

from .summary import Row, Summary, mean_of
from .words import half_width, known, number, percent, shown

MOST_CLASSES = 20  # rows of the confusion matrix and of the recall figure
WANTED = 0.05  # half an interval that is narrow enough for a class

HELPED = {
    "better": ("helped", "better"),
    "worse": ("did harm", "worse"),
    "tie": ("made no difference", "tie"),
    "not enough evidence": ("not enough evidence", "open"),
}
VERDICTS = {"better": "better", "worse": "worse", "tie": "tie", "not enough evidence": "open"}
SIGNS = {"better": "+", "worse": "\u2212", "tie": "=", "not enough evidence": "?"}


def reasons(summary: Summary) -> list[str]:
    """Why this method, without what the cards of facts tell at length."""
    told = [f"({row.get('a')} against {row.get('b')})" for row in summary.rows("ablations")]
    given = summary.part("recommendation").get("reasons") or []
    return [str(r) for r in given if not any(pair in str(r) for pair in told)]


def facts(summary: Summary) -> list[dict[str, Any]]:
    """What the unlabelled images and the GANs brought: one card each, one line per budget."""
    cards: dict[str, dict[str, Any]] = {}
    for row in summary.rows("ablations"):
        d = row.get("difference") or {}
        if not known(d.get("mean")):
            continue
        what = str(row.get("what"))
        card = cards.setdefault(what, {"what": shown(what), "a": row.get("a"), "b": row.get("b"), "lines": []})
        word, kind = HELPED.get(str(row.get("verdict")), (shown(row.get("verdict") or ""), "open"))
        card["lines"].append({"budget": row.get("budget"), "difference": d, "word": word, "kind": kind})
    return list(cards.values())


def scores(summary: Summary, budget: object) -> list[dict[str, Any]]:
    """Rows of the score table, most accurate first, with the letters of their tie groups."""
    groups = summary.groups(budget)
    rows = []
    for s in summary.ranked(budget):
        letters = [_letter(i) for i, g in enumerate(groups) if s.get("method") in g]
        rows.append({"score": s, "method": s.get("method"), "letters": letters, "n": s.get("n")})
    return rows


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"A{index}"


def against_best(summary: Summary, budget: object) -> list[Row]:
    """The most accurate method against every other one, the nearest first."""
    ranked = [str(s["method"]) for s in summary.ranked(budget) if known(mean_of(s, "accuracy", math.nan))]
    found = [summary.contrast(ranked[0], m, budget) for m in ranked[1:]] if ranked else []
    return [p for p in found if p is not None and known((p.get("difference") or {}).get("mean"))]


def matrix(summary: Summary, budget: object) -> list[dict[str, Any]]:
    """Everyone against everyone as signs: row better (+), worse, tie (=), not enough evidence (?)."""
    names = [str(s["method"]) for s in summary.ranked(budget)]
    rows = []
    for a in names:
        cells = []
        for b in names:
            pair = summary.contrast(a, b, budget) if a != b else None
            verdict = str(pair.get("verdict")) if pair else ""
            cells.append({"b": b, "sign": SIGNS.get(verdict, ""), "kind": VERDICTS.get(verdict, ""), "words": verdict})
        rows.append({"a": a, "cells": cells})
    return rows


def classes(summary: Summary) -> list[Row]:
    """Recall per class of the chosen method at the main budget, weakest first, with the images it would take."""
    rows = summary.rows("per_class", method=summary.chosen, budget=summary.main_budget)
    out = []
    for r in sorted(rows, key=_recall_of):
        p, half = r.get("recall"), half_width(r.get("recall"), r.get("of"))
        out.append({**r, "needed": images_needed(p) if known(p) and half and half > WANTED else None})
    return out


def _recall_of(row: Row) -> float:
    value = row.get("recall")
    return value if known(value) else 2.0  # last


def images_needed(recall: float) -> int:
    """Test images for which Wilson's interval of such a recall is no wider than +-WANTED."""
    low, high = 1, 1024  # half the interval is widest at one half: 0.05 from 381 images on
    while low < high:
        middle = (low + high) // 2
        half = half_width(recall, middle)
        low, high = (low, middle) if half is not None and half <= WANTED else (middle + 1, high)
    return low


def confusion(summary: Summary) -> dict[str, Any] | None:
    """The matrix in shares of the true class; beyond 20 classes those with most mistakes, the rest in one column."""
    found = summary.rows("confusion", method=summary.chosen, budget=summary.main_budget)
    names = [str(c) for c in summary.part("data").get("classes") or []]
    counts = found[0].get("counts") if found else None
    if not counts or len(counts) != len(names):
        return None
    counts = [[v if known(v) else 0 for v in row] for row in counts]
    wrong = [
        sum(row) - row[k] + sum(other[k] for j, other in enumerate(counts) if j != k) for k, row in enumerate(counts)
    ]
    kept = sorted(range(len(names)), key=lambda k: (-wrong[k], k))[:MOST_CLASSES]
    kept = sorted(kept)
    rows = []
    for k in kept:
        of = sum(counts[k])
        cells = [{"count": counts[k][j], "share": counts[k][j] / of if of else 0.0, "own": j == k} for j in kept]
        rest = of - sum(c["count"] for c in cells)
        if len(kept) < len(names):
            cells.append({"count": rest, "share": rest / of if of else 0.0, "own": False})
        rows.append({"name": names[k], "of": of, "cells": cells})
    mistakes = [
        {"true": names[k], "said": names[j], "count": counts[k][j], "share": counts[k][j] / sum(counts[k])}
        for k in range(len(names))
        for j in range(len(names))
        if j != k and counts[k][j]
    ]
    mistakes.sort(key=lambda m: -m["count"])
    return {
        "names": [names[k] for k in kept],
        "short": all(len(n) <= 3 for n in names),
        "rows": rows,
        "left_out": len(names) - len(kept),
        "worst": mistakes[:10],
    }


def trust(row: Row) -> str:
    """Stated confidence beside what was right, in one sentence."""
    bins = [b for b in row.get("bins") or [] if known(b.get("confidence")) and known(b.get("accuracy"))]
    total = sum(b.get("count") or 0 for b in bins)
    if not total:
        return ""
    said = sum(b["confidence"] * b["count"] for b in bins) / total
    right = sum(b["accuracy"] * b["count"] for b in bins) / total
    gap = 100 * (said - right)
    word = "about right" if abs(gap) < 1 else f"too sure by {number(gap)} points" if gap > 0 else None
    word = word or f"too modest by {number(-gap)} points"
    return f"On average it claimed {percent(said)} and was right in {percent(right)}: {word}."


def arms(summary: Summary) -> list[dict[str, Any]]:
    """The methods that train a GAN, with their games by budget, the gate's rows, and curves at the main budget."""
    names = [m for m in summary.methods if summary.rows("games", method=m) or summary.rows("gates", method=m)]
    budgets = [b.get("budget") for b in summary.budgets]
    out = []
    for m in names:
        games = [g for g in (summary.rows("games", method=m, budget=b) for b in budgets) if g]
        gates = [g for g in (summary.rows("gates", method=m, budget=b) for b in budgets) if g]
        told = [g for g in games if any(r.get("curves") for r in g)]
        curves = next((g for g in told if g[0].get("budget") == summary.main_budget), told[-1] if told else [])
        out.append({"method": m, "games": games, "gates": gates, "curves": curves})
    return out


def counts_table(summary: Summary) -> dict[str, Any]:
    """Images per class (rows) and part (columns), with sums."""
    data = summary.part("data")
    parts = {str(p): c for p, c in (data.get("counts") or {}).items() if c}
    names = [str(c) for c in data.get("classes") or dict.fromkeys(k for c in parts.values() for k in c)]
    rows = [{"name": c, "cells": [parts[p].get(c, 0) for p in parts]} for c in names]
    totals = [sum(r["cells"][i] or 0 for r in rows) for i in range(len(parts))]
    sizes = sorted(sum(v or 0 for v in r["cells"]) for r in rows)
    return {"parts": list(parts), "rows": rows, "totals": totals, "smallest": sizes[:1], "largest": sizes[-1:]}


def sources(summary: Summary) -> list[dict[str, Any]]:
    """Citations of the methods that ran, each once, with the methods it stands for."""
    found: dict[str, list[str]] = {}
    for name, m in summary.methods.items():
        for cite in m.get("cites") or []:
            found.setdefault(str(cite), []).append(name)
    return [{"cite": c, "methods": m} for c, m in found.items()]
