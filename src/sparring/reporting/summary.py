"""summary.json as the report reads it: what is missing or null is missing from the page, never an error."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import FileFormatError
from .words import known, plural

FORMAT = 1
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Summary:
    """The numbers of one study, and the look-ups that tables and figures share."""

    folder: Path
    all: Row

    def rows(self, table: str, **match: object) -> list[Row]:
        """Rows of a table whose fields equal `match`, in the file's order."""
        rows = self.all.get(table) or []
        return [r for r in rows if isinstance(r, Mapping) and all(r.get(k) == v for k, v in match.items())]

    def part(self, key: str) -> Row:
        found = self.all.get(key)
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def budgets(self) -> list[Row]:
        return self.rows("budgets")

    @cached_property
    def methods(self) -> dict[str, Row]:
        """By name, in the study's order; a method that only the scores know is added."""
        table = {str(m.get("name")): m for m in self.rows("methods")}
        return table | {m: {"name": m} for m in (str(s.get("method")) for s in self.rows("scores")) if m not in table}

    @cached_property
    def repeats(self) -> int:
        n = self.all.get("repeats")
        return int(n) if known(n) else max((len(self.each(s)) for s in self.rows("scores")), default=0)

    @cached_property
    def test_images(self) -> int | None:
        n = self.part("test").get("images")
        return int(n) if known(n) else None

    @cached_property
    def digits(self) -> int:
        """Decimals of a percentage: a second one only where the test part is large enough to fill it."""
        return 2 if (self.test_images or 0) >= 5000 else 1

    @cached_property
    def main_budget(self) -> str | None:
        """The budget of the recommendation, or else the last one: the one that per-class figures show."""
        budget = self.part("recommendation").get("budget")
        if budget is not None:
            return budget
        return self.budgets[-1].get("budget") if self.budgets else None

    @cached_property
    def chosen(self) -> str | None:
        """The recommended method, or else the most accurate one at the main budget."""
        method = self.part("recommendation").get("method")
        if method is not None:
            return str(method)
        ranked = self.ranked(self.main_budget)
        return str(ranked[0]["method"]) if ranked else None

    def ranked(self, budget: object) -> list[Row]:
        """Scores of one budget, most accurate first; those without an accuracy last."""
        return sorted(self.rows("scores", budget=budget), key=lambda s: -mean_of(s, "accuracy", -1.0))

    def score(self, method: object, budget: object) -> Row:
        return next(iter(self.rows("scores", method=method, budget=budget)), {})

    @staticmethod
    def each(score: Row) -> list[float]:
        """Accuracy of every repeat."""
        return [v for v in (score.get("accuracy") or {}).get("each") or [] if known(v)]

    def labels(self, budget: object) -> float | None:
        row = next((b for b in self.budgets if b.get("budget") == budget), {})
        n = row.get("labels")
        return n if known(n) else None

    def budget_name(self, budget: object) -> str:
        """`5 labels per class (50 in all)`."""
        n = self.labels(budget)
        if str(budget) == "all":
            return "all labels" + (f" ({n:,.0f})" if n else "")
        per_class = int(str(budget)) if str(budget).isdigit() else None
        words = plural(per_class, "label") + " per class" if per_class is not None else f"budget {budget}"
        return words + (f" ({n:,.0f} in all)" if n else "")

    def contrast(self, a: str, b: str, budget: object) -> Row | None:
        """The paired difference a - b at a budget, turned round where the study wrote b - a."""
        for row in self.rows("pairs", budget=budget, a=a, b=b):
            return row
        for row in self.rows("pairs", budget=budget, a=b, b=a):
            return turned(row)
        return None

    def groups(self, budget: object) -> list[list[str]]:
        row = next(iter(self.rows("tie_groups", budget=budget)), {})
        return [[str(m) for m in g] for g in row.get("groups") or []]


def mean_of(score: Row, key: str, otherwise: float) -> float:
    value = (score.get(key) or {}).get("mean")
    return float(value) if known(value) else otherwise


def turned(pair: Row) -> Row:
    """The same pair seen from the other side."""
    d = pair.get("difference") or {}
    other = {"better": "worse", "worse": "better"}
    return {
        **pair,
        "a": pair.get("b"),
        "b": pair.get("a"),
        "difference": {
            "mean": _negative(d.get("mean")),
            "low": _negative(d.get("high")),
            "high": _negative(d.get("low")),
            "each": [-v for v in d.get("each") or [] if known(v)],
        },
        "verdict": other.get(str(pair.get("verdict")), pair.get("verdict")),
        "sentence": None,
    }


def _negative(value: float | None) -> float | None:
    return -value if known(value) else None


def read_summary(folder: Path) -> Summary:
    """The study's summary.json. Raises FileFormatError where it is absent, not JSON, or of another format."""
    path = folder / "summary.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileFormatError(
            "study-summary",
            f"no summary.json in {folder}",
            fix="pass the folder that sparring compare or sparring train wrote",
        ) from None
    except (ValueError, OSError) as e:
        raise FileFormatError("study-summary", f"cannot read {path}: {e}", fix="run sparring compare again") from e
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        got = found.get("format") if isinstance(found, Mapping) else type(found).__name__
        raise FileFormatError(
            "study-format",
            f"{path} has format {got!r}, this version reads {FORMAT}",
            fix="run sparring compare again with this version",
        )
    return Summary(folder, found)
