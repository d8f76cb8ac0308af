"""One summary -> one HTML page: the template filled with figures, tables and pictures."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from . import dotplots, figures, loss_names, tables, words
from .pictures import inlined
from .summary import Row, Summary
from .svg import role_of, shape_of

MISTAKES = 16  # pictures of mistakes on the page at most
BAD_FILES = 12  # shown at once; the rest folds out


@lru_cache
def template(name: str = "page.html") -> Template:
    here = files("sparring.reporting")
    loader = FunctionLoader(lambda name: (here / name).read_text(encoding="utf-8"))
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {
        "shown": words.shown,
        "count": words.count,
        "number": words.number,
        "plural": words.plural,
        "percent": words.percent,
        "share": words.share,
        "interval": words.interval,
        "signed": words.signed,
        "p_value": words.p_value,
        "seconds": words.seconds,
        "within": words.within,
        "day": words.day,
        "one_in": words.one_in,
        "sentence": words.sentence,
        "path": words.path,
        "prose": words.prose,
        "ordinal": words.ordinal,
        "tidy": words.tidy,
    }
    env.globals["style"] = Markup((here / "style.css").read_text(encoding="utf-8"))
    return env.get_template(name)


def page(summary: Summary) -> str:
    """The whole page as text; lone surrogates of file names never reach it (`words.shown` escapes them)."""
    return template().render(
        s=summary,
        all=summary.all,
        data=summary.part("data"),
        machine=summary.part("machine"),
        versions=summary.part("versions"),
        test=summary.part("test"),
        recommendation=summary.part("recommendation"),
        verdicts=tables.VERDICTS,
        reasons=tables.reasons(summary),
        facts=tables.facts(summary),
        look=_looks(summary),
        budgets=[_budget(summary, b.get("budget")) for b in summary.budgets],
        learning=_learning(summary),
        best=summary.score(summary.chosen, summary.main_budget),
        classes=_classes(summary),
        trust=_trust(summary),
        mistakes=_mistakes(summary),
        arms=[_arm(summary, a) for a in tables.arms(summary)],
        cost=figures.cost(summary, summary.main_budget),
        counts=tables.counts_table(summary),
        sheet=inlined(summary.folder, summary.part("data").get("contact_sheet")),
        bad_files=[(str(b[0]), str(b[1])) for b in summary.part("data").get("bad_files") or [] if len(b) == 2],
        bad_count=_bad_count(summary),
        bad_at_once=BAD_FILES,
        sources=tables.sources(summary),
    )


def _bad_count(summary: Summary) -> int:
    """Of a large data set the summary holds only some of the names."""
    data = summary.part("data")
    total = data.get("bad_files_count")
    return int(total) if words.known(total) else len(data.get("bad_files") or [])


def _looks(summary: Summary) -> dict[str, dict[str, str]]:
    """Colour role and shape of every method, the same in figures and tables."""
    return {
        name: {"role": role_of(name, summary.methods), "shape": shape_of(row.get("family"))}
        for name, row in summary.methods.items()
    }


def _learning(summary: Summary) -> list[Markup]:
    measured = {s.get("budget") for s in summary.rows("scores") if (s.get("accuracy") or {}).get("mean") is not None}
    if len(measured) < 2:
        return []
    return [figures.learning(summary, figures.WIDE), figures.learning(summary, figures.NARROW)]


def _budget(summary: Summary, budget: object) -> dict[str, Any]:
    rows = tables.scores(summary, budget)
    pairs = tables.against_best(summary, budget)
    return {
        "budget": budget,
        "name": summary.budget_name(budget),
        "rows": rows,
        "strips": dotplots.strips(summary, budget) if rows else "",
        "pairs": pairs,
        "forest": dotplots.forest(summary, budget, pairs) if pairs else "",
        "all_pairs": summary.rows("pairs", budget=budget),
        "matrix": tables.matrix(summary, budget),
        "grouped": any(r["letters"] for r in rows),
    }


def _classes(summary: Summary) -> dict[str, Any]:
    rows = tables.classes(summary)
    return {
        "rows": rows,
        "figure": dotplots.recall(summary, rows[: tables.MOST_CLASSES]) if rows else "",
        "confusion": tables.confusion(summary),
    }


def _trust(summary: Summary) -> list[dict[str, Any]]:
    """The reliability diagram of the chosen method, and of the next most accurate one for comparison."""
    budget = summary.main_budget

    def floor(method: object) -> bool:
        return summary.methods.get(str(method), {}).get("family") == "floor"

    others = [m for m in (s.get("method") for s in summary.ranked(budget)) if m != summary.chosen and not floor(m)]
    names = [summary.chosen, *others]
    rows = [r for m in names for r in summary.rows("reliability", method=m, budget=budget) if _usable(r)]
    return [
        {"method": r["method"], "figure": figures.reliability(summary, r), "sentence": tables.trust(r)}
        for r in rows[:2]
    ]


def _usable(row: Row) -> bool:
    return any(b.get("count") and words.known(b.get("confidence")) for b in row.get("bins") or [])


def _mistakes(summary: Summary) -> list[dict[str, Any]]:
    rows = summary.rows("mistakes")
    rows = [m for m in rows if m.get("method") == summary.chosen and m.get("budget") == summary.main_budget] or rows
    return [{**m, "picture": inlined(summary.folder, m.get("picture"))} for m in rows[:MISTAKES]]


def _arm(summary: Summary, arm: dict[str, Any]) -> dict[str, Any]:
    method = arm["method"]
    shows, notes = [], []
    for games in arm["games"]:
        game = next((g for g in games if g.get("generated")), games[0])
        real, made = (inlined(summary.folder, game.get(k)) for k in ("real", "generated"))
        if real and not shows:
            shows.append({"budget": None, "picture": real, "words": "real images"})
        if made:
            shows.append({"budget": game.get("budget"), "picture": made, "words": "generated images"})
        if game.get("note"):
            notes.append({"budget": game.get("budget"), "note": game["note"]})
    drawn = loss_names.panels(arm["curves"])
    return {
        "method": method,
        "shows": shows,
        "notes": notes,
        "curve_budget": arm["curves"][0].get("budget") if arm["curves"] else None,
        "curves": [figures.curve(summary, method, panel) for panel in drawn[: loss_names.MOST]],
        "called": any(panel.share for panel in drawn),
        "runs": len(arm["curves"]),
        "more_curves": max(0, len(drawn) - loss_names.MOST),
        "gates": [_gate(summary, method, rows) for rows in arm["gates"]],
    }


def _gate(summary: Summary, method: str, rows: list[Row]) -> dict[str, Any]:
    measured = [r for r in rows if words.known(r.get("difference"))]
    return {
        "budget": rows[0].get("budget"),
        "rows": rows,
        "passed": sum(bool(r.get("passed")) for r in rows),
        "figure": dotplots.gates(summary, method, rows[0].get("budget"), measured) if measured else "",
    }
