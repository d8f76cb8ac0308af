"""The report: right numbers, one file, no script, readable by everyone, and a good page whatever is missing."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from PIL import Image
from summaries import METHODS, study_folder

from sparring import classifiers, words
from sparring.errors import FileFormatError, MachineError
from sparring.reporting import axes, dotplots, figures, html, loss_names, pictures, study_page, typography, write
from sparring.reporting.sections.classes import classes_section, confusion_matrix, trust_sentence
from sparring.reporting.sections.gans import tried
from sparring.reporting.sections.scores import scores_section
from sparring.reporting.study_view import StudyView
from sparring.reporting.svg import COLOUR, FAMILY_SHAPES, OTHER_ROLES, OWN_COLOUR, colour_role
from sparring.study.probabilities import Bin
from sparring.study.summary import Summary

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = (
    "<script>alert(1)</script>",
    "a \"quoted\" & 'name' --> </style>",
    "line\nbreak\ttab",
    "\u202eright to left\u202c",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "$x^2$ \\frac",
    "\u05e2\u05d1\u05e8\u05d9\u05ea",
    "\udcff\udc80 broken",
    "<img src=x onerror=alert(2)>",
    "a" * 90,
    "{{ 7 * 7 }}{% raw %}",
    " ",
)
SHAPES = {
    "one budget": {"budgets": ["5"]},
    "three budgets, one of them all": {"budgets": ["1", "20", "all"], "methods": ["majority", "svm", "cnn"]},
    "one method": {"methods": ["svm"], "budgets": ["10"]},
    "one repeat": {"methods": ["svm", "cnn"], "repeats": 1},
    "no GAN": {"methods": ["majority", "logistic", "svm", "spreading"]},
    "two classes": {"classes": ["cat", "dog"], "methods": ["majority", "svm", "semi-gan"], "test": 40},
    "200 classes": {"classes": 200, "test": 1000, "repeats": 2, "methods": ["svm", "cnn", "gan-augment"]},
    "failed arms": {"failed": [("semi-gan", "5"), ("gan-augment", "5"), ("gan-augment", "20"), ("cnn", "20")]},
    "only the floor": {"methods": ["majority"]},
    "nothing worked": {"methods": ["svm"], "budgets": ["5"], "failed": [("svm", "5")]},
}
FEW = {"methods": ["majority", "svm", "cnn", "gan-augment"], "test": 120}


class Page(HTMLParser):
    """What a browser would see: elements with attributes, their text, and whether every tag is closed."""

    VOID = frozenset({"meta", "link", "img", "br", "wbr"})

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict, list[str]]] = []  # tag, attributes, text inside
        self.open: list[tuple[str, dict, list[str]]] = []
        self.in_svg: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {[e[0] for e in self.open]}"

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        # HTML lets a browser close some tags by itself; this page never relies on that
        assert self.open and self.open[-1][0] == tag, f"</{tag}> inside {[e[0] for e in self.open]}"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element[2].append(data)
        if any(e[0] == "svg" for e in self.open):
            self.in_svg.append(data)

    def all(self, *tags: str) -> list[tuple[str, dict, str]]:
        return [(t, a, "".join(text)) for t, a, text in self.elements if t in tags]

    def text(self) -> str:
        body = next(text for tag, _, text in self.elements if tag == "body")
        return re.sub(r"\s+", " ", "".join(body))


def page_of(folder: Path) -> Page:
    return Page(write(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return study_folder(tmp_path_factory.mktemp("whole") / "study")


@pytest.fixture(scope="module")
def whole(study) -> Page:
    return page_of(study)


def summary_of(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def view_of(folder: Path) -> StudyView:
    return StudyView(Summary.read(folder))


def rewritten(folder: Path, summary: dict) -> Page:
    (folder / "summary.json").write_text(json.dumps(summary))
    return page_of(folder)


# Numbers


def test_score_tables_show_the_summarys_numbers(study, whole):
    tables_seen = [text for tag, a, text in whole.all("table") if a.get("class") == "scores"]
    summary = summary_of(study)
    assert len(tables_seen) == len(summary["budgets"])
    for budget, text in zip(summary["budgets"], tables_seen, strict=True):
        rows = [s for s in summary["scores"] if s["budget"] == budget["budget"]]
        for s in rows:
            cells = [
                f"{100 * a['mean']:.1f}{100 * max(0, a['low']):.1f} to {100 * min(1, a['high']):.1f}"
                for a in (s["accuracy"], s["balanced_accuracy"])
            ]
            assert "\n".join(cells) in text and f"{s['nll']['mean']:.3f}" in text, s["method"]
        ranked = sorted(rows, key=lambda s: -s["accuracy"]["mean"])
        places = [text.index(s["method"]) for s in ranked]
        assert places == sorted(places)


def test_differences_are_told_from_the_side_of_the_most_accurate(tmp_path):
    folder = study_folder(tmp_path / "s", **FEW, budgets=["5"])
    summary = summary_of(folder)
    mean = {s["method"]: s["accuracy"]["mean"] for s in summary["scores"]}
    best = max(mean, key=lambda m: mean[m])
    (scores,) = scores_section(view_of(folder))
    assert [p.b for p in scores.against] == sorted(mean.keys() - {best}, key=lambda m: -mean[m])
    for pair in scores.against:
        d = pair.difference
        assert pair.a == best and d.mean == pytest.approx(mean[best] - mean[pair.b], abs=2e-6)
        assert d.low <= d.mean <= d.high and pair.verdict != "worse"
        given = next(p for p in summary["pairs"] if {p["a"], p["b"]} == {best, pair.b})
        assert {pair.verdict, given["verdict"]} in ({"better", "worse"}, {pair.verdict})
        assert [abs(v) for v in d.each] == [abs(v) for v in given["difference"]["each"]]
    signs = {(m, c.about): c.sign for m, cells in scores.matrix for c in cells}
    assert all(signs[b, a] == {"+": "\u2212", "\u2212": "+"}.get(sign, sign) for (a, b), sign in signs.items())
    assert {sign for (a, b), sign in signs.items() if a == b} == {""} and "+" in signs.values()


def test_marks_stand_where_the_axis_says(study):
    """Position of a mean mark against the tick labels of its own figure, read from the SVG."""
    view = view_of(study)
    svg = dotplots.accuracy_plot(view, "5")
    ticks = [
        (float(x), float(name))
        for x, name in re.findall(r'text-anchor: middle[^>]*x="([\d.]+)" [^>]*>(\d+)</text>', svg)
    ]
    (x0, v0), (x1, v1) = ticks[0], ticks[-1]
    marks = re.findall(r'<use href="#(\w+)" x="([\d.]+)" y="([\d.]+)" style="fill: var\(--m-spreading\)', svg)
    large = marks[-1]  # the mean is drawn last, over interval and dots
    score = view.summary.score("spreading", "5")
    assert score is not None
    accuracy = 100 * score.accuracy.mean
    assert v0 + (float(large[1]) - x0) * (v1 - v0) / (x1 - x0) == pytest.approx(accuracy, abs=0.05)
    assert len(marks) == 1 + view.summary.repeats  # every repeat is a dot


def test_every_repeat_is_a_dot_in_the_learning_curve(study):
    view = view_of(study)
    svg = figures.learning_figure(view, 780)
    dots = re.findall(r'<use href="#\w+" x="[\d.]+" y="[\d.]+" style="fill: var\(--m-cnn\)', svg)
    assert len(dots) == 2 * (view.summary.repeats + 1)


def test_names_stand_at_the_ends_of_their_lines_from_top_to_bottom(study):
    view = view_of(study)
    svg = figures.learning_figure(view, 780)
    names = re.findall(r'<text [^>]*font-weight: 700[^>]*y="([\d.]+)"[^>]*>([^<]+)</text>', svg)
    shown = [name for _, name in sorted((float(y), name) for y, name in names)]
    assert shown == [s.method for s in view.summary.ranked("20") if s.method != "majority"]
    assert min(b - a for a, b in pairwise(sorted(float(y) for y, _ in names))) > 15


def test_trust_compares_the_recommended_method_with_the_next(study):
    view = view_of(study)
    section = classes_section(view)
    assert section is not None
    best = [s.method for s in view.summary.ranked(view.main_budget) if s.method != view.chosen]
    assert [t.method for t in section.trust] == [view.chosen, best[0]]
    assert [r.recall for r in section.rows] == sorted(r.recall for r in section.rows) and len(section.rows) == 10


def test_confusion_keeps_every_answer_and_the_worst_classes():
    names = [f"k{i}" for i in range(30)]
    counts = [[0] * 30 for _ in names]
    for k in range(30):
        counts[k][k] = 100
        counts[k][(k + 1) % 30] = 1 + k % 2
    counts[3][29], counts[29][3], counts[7][25] = 40, 5, 20
    shown = confusion_matrix(names, counts)
    assert len(shown.rows) == 20 and shown.left_out == 10
    assert {"k3", "k29", "k7", "k25"} <= set(shown.names)
    assert any(cells[-1].count for _, cells in shown.rows)
    for name, cells in shown.rows:
        assert sum(c.count for c in cells) == sum(counts[int(name[1:])])
        assert sum(c.share for c in cells) == pytest.approx(1)
        assert [c.right for c in cells].count(True) == 1
    assert [(m.true, m.said, m.count) for m in shown.worst] == [("k3", "k29", 40), ("k7", "k25", 20), ("k29", "k3", 5)]
    whole = confusion_matrix(names[:4], [row[:4] for row in counts[:4]])
    assert whole.left_out == 0 and all(len(cells) == 4 for _, cells in whole.rows)


def test_images_that_a_class_needs_are_those_of_the_summary(study, whole):
    summary = view_of(study).summary
    rows = [
        r for r in summary.per_class if (r.method, r.budget) == (summary.recommended, summary.recommendation.budget)
    ]
    text = next(text for _, _, text in whole.all("table") if "Images for" in text)
    assert rows and all((str(r.needed) if r.needed > r.of else "enough") in text for r in rows)


def test_trust_is_told_in_points():
    assert trust_sentence([Bin(0.9, 0.8, 30), Bin(0.6, 0.6, 10)]).endswith("right in 75.0 %: too sure by 7.5 points.")
    assert trust_sentence([Bin(0.5, 0.8, 1)]).endswith("too modest by 30.0 points.")
    assert trust_sentence([Bin(0.5, 0.505, 1)]) == "On average it claimed 50.0 % and was right in 50.5 %: about right."


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (typography.typeset("97.3 %, -1.2 to +-5 points"), "97.3\u202f%, \u22121.2 to \u00b15 points"),
        (typography.typeset("< 0.01 s, 4.5 min, 2 h 05 min"), "<\u202f0.01\u202fs, 4.5\u202fmin, 2\u202fh 05\u202fmin"),
        (
            typography.typeset("semi-gan-2, x-1.png, 2026-11-20, 5 minutes"),
            "semi-gan-2, x-1.png, 2026-11-20, 5 minutes",
        ),
        (typography.one_in(0.02), "1 in 50 wrong"),
        (typography.one_in(0.4), "1 in 2.5 wrong"),
        (typography.one_in(0), "none wrong"),
        (typography.one_in(None), words.MISSING),
        (typography.shown("a\nb\u202e"), "a\\nb\\u202e"),
        (typography.shown("\u0645\u06cc\u200c\u062e"), "\u0645\u06cc\u200c\u062e"),
        (typography.shown("0123456789", 7), "0123\u202689"),
        (typography.sentence("an edge. "), "An edge."),
        (typography.sentence("svm failed", {"svm"}), "svm failed."),
        (typography.sentence(""), ""),
        (typography.day("2026-11-20T23:40:00+00:00"), "20 November 2026, 23:40 UTC"),
        (typography.day("soon"), "soon"),
    ],
)
def test_typography(found, expected):
    assert found == expected


def test_prose_lets_names_stand_out_and_escapes_the_rest():
    said = typography.prose("svm beats semi-gan, not gan: -0.5 points (-1 to 2) <b>", {"svm", "gan", "semi-gan"})
    assert said == (
        '<span class="name">svm</span> beats <span class="name">semi-gan</span>, not <span class="name">gan</span>: '
        "\u22120.5 points (\u22121 to 2) &lt;b&gt;."
    )
    assert typography.prose("By label spreading", {"spreading"}) == "By label spreading."
    assert typography.prose("x of <i>", {"<i>"}) == 'X of <span class="name">&lt;i&gt;</span>.'
    assert typography.prose("in x.svm, a/svm.py: 9 % of 5 s or 2 steps", ["svm"]) == (
        "In x.svm, a/svm.py: 9\u202f% of 5\u202fs or 2 steps."
    )
    assert typography.sentence("for +-5 points") == "For \u00b15 points."
    assert typography.file_name("a/<b>_1.png", 40) == "a/<wbr>&lt;b&gt;_<wbr>1.png"


def test_reasons_are_not_told_twice(study, whole):
    given = summary_of(study)["recommendation"]["reasons"]
    shown = [(r["kind"], re.sub(r"\s+", " ", typography.sentence(r["text"]))[1:] in whole.text()) for r in given]
    assert ("ablation", False) in shown and all(seen == (kind != "ablation") for kind, seen in shown)


def test_curves_are_told_in_words_and_what_belongs_together_is_drawn_together():
    rows = [{"curves": {"D/Classify/guess": [[1, 2.0]], "D/FractionReal/real": [[1, 0.5]], "x": [[1, 3.0]], "y": []}}]
    rows += [
        {
            "curves": {
                "D/FractionReal/fake": [[2, 0.25]],
                "D/FractionReal/real": [[2, 0.5]],
                "G/NonSaturating": [[1, 1.0]],
            }
        }
    ]
    found = loss_names.panels(rows)
    assert [(p.title, p.share) for p in found] == [
        ("called real by the discriminator", True),
        ("generator: loss against the other", False),
        ("discriminator: loss on guessed labels", False),
        ("x", False),
    ]
    assert dict(found[0].lines) == {"real": [[[1, 0.5]], [[2, 0.5]]], "generated": [[[2, 0.25]]]}
    older = [{"curves": {name.replace("FractionReal", "SaysReal"): curve for name, curve in rows[1]["curves"].items()}}]
    assert loss_names.panels(older) == loss_names.panels(rows[1:])


def test_labels_are_moved_apart_and_no_further():
    assert axes.kept_apart([10, 50], 15, 0, 100) == [10, 50]
    assert axes.kept_apart([50, 50], 10, 0, 100) == [45, 55]
    assert axes.kept_apart([0, 0, 0], 10, 0, 100) == [0, 10, 20]
    assert axes.kept_apart([99, 100], 10, 0, 100) == [90, 100]
    places = axes.kept_apart([3, 4, 5, 50, 51, 99], 12, 0, 100)
    assert all(b - a >= 12 - 1e-9 for a, b in zip(places, places[1:], strict=False))
    assert min(places) >= 0 and max(places) <= 100


def test_ticks_and_curves():
    assert axes.round_ticks(0.71, 0.98, 3) == pytest.approx([0.8, 0.9])
    assert axes.round_ticks(71, 98, 6) == pytest.approx([75, 80, 85, 90, 95])
    assert axes.round_ticks(5, 5, 3) == [5]
    assert axes.time_ticks(0.2, 40) == [0.3, 1, 3, 10, 30]
    assert axes.time_ticks(0.01, 700) == [0.01, 0.1, 1, 10, 120]
    assert axes.time_ticks(4, 9) == [6]
    run = [(float(i), float(i % 7)) for i in range(1000)]
    short = axes.thinned(run)
    assert len(short) <= 120
    assert sum(y for _, y in short[:-1]) / (len(short) - 1) == pytest.approx(3, abs=0.1)
    assert axes.thinned(run[:50]) == run[:50]


# The verdict's honesty


def test_warnings_say_what_weakens_the_verdict(tmp_path):
    folder = study_folder(tmp_path / "s", **FEW, repeats=3, failed=[("cnn", "5")])
    summary = summary_of(folder)
    summary["test"]["looks"] = 2
    text = rewritten(folder, summary).text()
    assert "Before you rely on this No difference can be significant with n = 3" in text
    assert "cnn failed in 3 fits" in text and "the loss was never finite" in text
    assert "0 of 3 repeats worked" in text
    assert "They were used 2 times" in text or "they were used 2 times" in text
    assert "needs 6 repeats" in text


def test_a_sound_study_has_no_warning(whole, study):
    assert not summary_of(study)["recommendation"]["warnings"]
    assert "Before you rely on this" not in whole.text()


def test_with_one_repeat_intervals_are_said_to_cover_less(tmp_path, whole):
    text = page_of(study_folder(tmp_path / "s", methods=["svm"], budgets=["5"], repeats=1)).text()
    assert "not for which were labelled" in text and "both kinds of luck" not in text
    assert "both kinds of luck" in whole.text()


def test_the_three_facts_are_told_per_budget(whole, study):
    text = whole.text()
    for row in summary_of(study)["ablations"]:
        assert f"{row['a']} against {row['b']}" in text
        assert typography.typeset(words.points(row["difference"]["mean"], 1, signed=True)) in text


def test_the_gate_is_counted(tmp_path):
    folder = study_folder(tmp_path / "s", **FEW, budgets=["5"])
    summary = summary_of(folder)
    for i, row in enumerate(summary["gates"]):
        row["passed"] = i < 4
    assert "used in 4 of 6 repeats" in rewritten(folder, summary).text()


# One file that everybody can read


def test_nothing_is_loaded_from_anywhere(study, whole):  # S51
    html = (study / "report.html").read_text(encoding="utf-8")
    assert not whole.all("script", "iframe", "object", "embed", "audio", "video", "form", "base")
    for tag, attributes, _ in whole.all("img", "a", "link", "use", "image", "source"):
        for key in ("src", "href", "xlink:href", "srcset"):
            value = attributes.get(key)
            assert value is None or value.startswith(("data:", "#")), (tag, key, value[:60])
    assert not [a for _, a, _ in whole.elements if any(k.startswith("on") for k in a)]
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    policy = [a["content"] for _, a, _ in whole.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_pages_are_small_quick_to_make_and_the_same_every_time(study, whole):
    first = (study / "report.html").read_bytes()
    start = time.process_time()
    assert write(study).read_bytes() == first
    assert time.process_time() - start < 4  # 0.7 s on a quiet machine
    assert len(first) < 1_000_000
    assert not list(study.glob(".report*"))


def test_readable_aloud_and_by_keyboard(whole):
    assert next(a for _, a, _ in whole.all("html"))["lang"] == "en"
    ids = [a["id"] for _, a, _ in whole.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, a, text in whole.all("a"):
        assert a["href"][1:] in ids and text.strip()
    for _, a, _ in whole.all("img"):
        assert a["alt"].strip() and a["width"] and a["height"]
    for _, a, _ in whole.all("svg"):
        assert a.get("aria-hidden") == "true" or (a.get("role") == "img" and len(a["aria-label"]) > 20)
    levels = [int(tag[1]) for tag, _, _ in whole.all("h1", "h2", "h3", "h4", "h5")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert len(whole.all("caption")) == len(whole.all("table")) >= 8
    assert all(a.get("scope") in ("row", "col") for _, a, _ in whole.all("th"))
    scrolls = [a for _, a, _ in whole.elements if a.get("class") == "scroll"]
    assert scrolls and all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in scrolls)
    assert next(a for _, a, _ in whole.all("meta") if a.get("name") == "viewport")


def _palettes() -> list[dict[str, str]]:
    css = (Path(figures.__file__).parent / "palette.css").read_text()
    light, dark = (css.split("@media screen")[0], css.split("@media screen")[1].split("}")[0])
    palettes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]
    assert palettes[0].keys() == palettes[1].keys()
    return palettes


def _contrast(a: str, b: str) -> float:
    """WCAG 2.2 contrast of two colours, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_are_readable_in_light_and_dark():
    for palette in _palettes():
        assert set(COLOUR) <= set(palette)
        for role in ("ink", "muted", "accent", *(r for r in COLOUR if r.startswith("m-"))):
            assert _contrast(palette[role], palette["page"]) >= 4.5, role
        for role in ("ink", "muted", "accent"):
            assert _contrast(palette[role], palette["panel"]) >= 4.5, role
        for kind in ("good", "bad", "same", "open"):
            assert _contrast(palette[kind], palette[f"{kind}-bg"]) >= 4.5, kind
        assert _contrast(palette["ink"], palette["warn-bg"]) >= 7
        for strength in range(101):  # text over every cell of the heat map
            for heat in ("heat", "miss"):
                mixed = _mixed(palette[heat], palette["panel"], strength / 100)
                assert _contrast(palette["ink"], mixed) >= 4.5, (heat, strength)


def _mixed(a: str, b: str, share: float) -> str:
    return "#" + "".join(
        f"{round(share * int(a[i : i + 2], 16) + (1 - share) * int(b[i : i + 2], 16)):02x}" for i in (1, 3, 5)
    )


def test_a_method_has_one_colour_everywhere():
    assert len({colour_role(m, list(METHODS)) for m in METHODS}) == len(METHODS)
    assert set(OWN_COLOUR) <= set(classifiers.METHODS)
    others = ["mine", "yours", "svm"]
    assert [colour_role(m, others) for m in others] == [OTHER_ROLES[0], OTHER_ROLES[1], "m-svm"]


def test_a_new_classifier_needs_no_edit_of_the_report(tmp_path):
    folder = study_folder(tmp_path / "s", methods=["svm", "cnn"], test=120, budgets=["5"])
    text = (folder / "summary.json").read_text().replace('"cnn"', '"mine"').replace('"network"', '"mine too"')
    (folder / "summary.json").write_text(text)
    page = page_of(folder)
    assert "mine" in page.in_svg and f"color:var(--{OTHER_ROLES[0]})" in {a.get("style") for _, a, _ in page.all("svg")}
    assert FAMILY_SHAPES.keys() <= {m.family for m in classifiers.METHODS.values()}


# What pretraining brought


def test_the_page_says_what_came_from_other_images(study, whole):
    summary = view_of(study).summary
    assert {s.method for s in summary.scores if s.pretrained} == {"probe", "finetune", "ensemble"}
    tables_seen = [text for _, a, text in whole.all("table") if a.get("class") == "scores"]
    assert all(text.count("from efficientnet-lite0: trunk") == 2 for text in tables_seen)
    text = whole.text()
    assert "Methods may use what efficientnet-lite0 learned from other images: probe (efficientnet-lite0: feat" in text
    assert "The others learned from the images of this study alone" in text
    headings = [text for tag, _, text in whole.all("h4")]
    assert headings[:5] == ["Pretraining", "Pretrained features", "Unlabelled images", "The GAN", "Generated images"]


def test_without_a_pretrained_network_the_page_says_that_nothing_came_from_elsewhere(tmp_path):
    page = page_of(study_folder(tmp_path / "s", **FEW))
    assert "No pretrained network was used: nothing of other images is in any number." in page.text()
    assert "from efficientnet" not in page.text()


def test_a_card_says_why_there_is_no_clean_comparison(tmp_path):
    folder = study_folder(tmp_path / "s", methods=["cnn", "consistency"], test=120)
    summary = summary_of(folder)
    (row, other) = summary["ablations"]
    summary["ablations"] = [other]
    summary["unclean"] = [{k: row[k] for k in ("kind", "what", "budget", "a")} | {"reason": "cnn was <b>mixed</b>"}]
    page = rewritten(folder, summary)
    (card,) = [text for _, a, text in page.all("div") if a.get("class") == "fact"]
    assert "no clean comparison" in card and "cnn was <b>mixed</b>." in re.sub(r"\s+", " ", card)
    summary["ablations"], summary["unclean"] = [], summary["unclean"] * 2
    assert "no clean comparison" in rewritten(folder, summary).text()


def test_a_card_names_the_methods_of_each_row_where_they_differ(tmp_path):
    folder = study_folder(tmp_path / "s", methods=["logistic", "svm", "probe"], test=120)
    summary = summary_of(folder)
    for row, against in zip(summary["ablations"], ("logistic", "svm"), strict=True):
        row["b"] = against
    (card,) = [text for _, a, text in rewritten(folder, summary).all("div") if a.get("class") == "fact"]
    words_of_card = re.sub(r"\s+", " ", card)
    assert "(50 in all): probe against logistic" in words_of_card and "(200 in all): probe against svm" in words_of_card


def test_what_a_gate_tried_is_a_table_of_means(tmp_path):
    folder = study_folder(tmp_path / "s", **FEW, budgets=["5"])
    view = view_of(folder)
    trials = [row.trials for row in view.summary.gates]
    shown = {t.words: (t.accuracy, t.difference, t.repeats) for t in tried(view.summary.gates)}
    assert list(shown) == ["real images alone", "copies of real images beside them", "generated images, weight 0.25",
                           "generated images, weight 0.5"]  # fmt: skip
    assert shown["real images alone"] == (pytest.approx(sum(t[0].accuracy for t in trials) / 6), None, 6)
    mean = sum(t[2].difference for t in trials) / 6
    assert shown["generated images, weight 0.25"][1] == pytest.approx(mean)
    page = page_of(folder).text()
    assert f"generated images, weight 0.25{100 * shown['generated images, weight 0.25'][0]:.1f}" in page
    assert tried([replace(row, trials=()) for row in view.summary.gates]) == ()


def test_the_page_of_a_gpu_names_it_and_how_long_features_took(tmp_path):
    folder = study_folder(tmp_path / "s", methods=["svm", "probe"], budgets=["5"], test=120)
    assert "networks on the CPU" in page_of(folder).text()
    summary = summary_of(folder)
    summary["machine"]["device"], summary["features_seconds"] = "NVIDIA H100 80GB HBM3", 12.0
    text = rewritten(folder, summary).text()
    assert "networks on NVIDIA H100 80GB HBM3" in text
    assert "by efficientnet-lite0 were computed once, before the fits, in 12 s" in text


def test_where_nothing_was_learned_nothing_is_recommended(tmp_path):
    folder = study_folder(tmp_path / "s", methods=["majority", "svm"], budgets=["5"], test=120)
    summary = summary_of(folder)
    summary["recommendation"] |= {"method": None, "budget": None, "reasons": [], "not_chosen": []}
    summary["verdict"], summary["mistakes"] = "Nothing was learned: no method is shown to be better.", []
    text = rewritten(folder, summary).text()
    assert "Nothing was learned" in text and "Recommended" not in text and "None" not in text


# A table of sections


@dataclass(frozen=True)
class Looks:
    """What a section of a test shows."""

    times: int


def test_a_section_is_one_line_in_the_table(study, monkeypatch):
    """Its function and template are all there is: the page, the table of contents and the anchor follow."""

    def looks(view: StudyView) -> Looks | None:
        return Looks(view.summary.test.looks) if view.summary.test.looks else None

    template = """{% from 'macros.html' import pill with context %}
<p>Looked at {{ section.times|times }}. {{ pill('so', 'tie') }}</p>"""
    added = study_page.Section("looks", "Looks at the test", "How often was the test looked at?", looks, template)
    monkeypatch.setattr(study_page, "SECTIONS", (*study_page.SECTIONS, added))
    page = page_of(study)
    links = [(a["href"], text) for _, a, text in page.all("a")]
    shown = [section.id for section in study_page.SECTIONS if section.id != "before"]  # there is no earlier study
    assert links[-1] == ("#looks", "Looks at the test") and [href for href, _ in links] == [
        f"#{name}" for name in shown
    ]
    (section,) = [text for _, a, text in page.all("section") if a["id"] == "looks"]
    assert section.split("\n")[1:3] == ["How often was the test looked at?", "Looked at once. so"]
    monkeypatch.setattr(study_page, "SECTIONS", (replace(added, values=lambda view: None),))
    assert not page_of(study).all("section", "a")


def test_a_misspelt_field_of_a_template_is_an_error():
    with pytest.raises(UndefinedError, match="has no attribute 'time'"):
        html.template("{{ section.time }}<br>").render(section=Looks(1))


# Names from outside


def test_hostile_names_are_only_text(tmp_path):  # S47
    folder = study_folder(tmp_path / "s", **FEW, classes=HOSTILE, name=HOSTILE[0])
    summary = summary_of(folder)
    summary["verdict"] = summary["command"] = summary["recommendation"]["reasons"][0]["text"] = HOSTILE[1] + HOSTILE[8]
    summary["data"]["bad_files"] = [[n, n] for n in HOSTILE]
    summary["games"][0]["curves"] = {n: [[0, 1.0], [10, 2.0]] for n in HOSTILE[:3]}
    summary["versions"] = {HOSTILE[0]: HOSTILE[8]}
    summary["methods"].append(
        {"name": HOSTILE[8], "title": HOSTILE[0], "what": HOSTILE[1], "family": HOSTILE[2], "cites": [HOSTILE[0]]}
    )
    page = rewritten(folder, summary)
    assert not page.all("script")
    assert all(a["src"].startswith("data:") for _, a, _ in page.all("img"))
    assert not [a for _, a, _ in page.elements if any(k.startswith("on") for k in a)]
    text, drawn = page.text(), "".join(page.in_svg)
    assert "<script>alert(1)</script>" in text and "{{ 7 * 7 }}{% raw %}" in text
    assert "line\\nbreak\\ttab" in text and "\\u202eright to left\\u202c" in text and "\\udcff\\udc80 broken" in text
    assert "\u202e" not in text and "\udcff" not in text
    assert "\U0001f468\u200d\U0001f469\u200d\U0001f467" in text
    assert "<script>aler\u2026ript>" in drawn
    assert "$x^2$ \\frac" in drawn and "line\\nbreak\\ttab" in drawn


def test_pictures_come_from_the_study_only(tmp_path):
    inside = tmp_path / "study"
    inside.mkdir()
    Image.new("L", (4, 3)).save(inside / "ok.png")
    Image.new("L", (4, 4)).save(tmp_path / "secret.png")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "text.png").write_text("not a picture")
    (inside / "cut.png").write_bytes((inside / "ok.png").read_bytes()[:20])
    found = pictures.inlined(inside, "ok.png")
    assert found is not None and (found.width, found.height) == (4, 3)
    assert found.uri.startswith("data:image/png;base64,")
    refused = (
        "../secret.png",
        str(tmp_path / "secret.png"),
        "link.png",
        "text.png",
        "cut.png",
        "gone.png",
        ".",
        "",
        "\0",
    )
    for name in (*refused, None):
        assert pictures.inlined(inside, name) is None, name


def test_large_pictures_are_packed(tmp_path):
    noise = Image.effect_noise((2400, 600), 80).convert("RGB")
    noise.save(tmp_path / "large.png")
    found = pictures.inlined(tmp_path, "large.png")
    assert found is not None and (found.width, found.height) == (1600, 400)
    assert found.uri.startswith("data:image/webp") and len(found.uri) < (tmp_path / "large.png").stat().st_size / 2


# Whatever is missing


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_of_study_gives_a_good_page(tmp_path, shape):
    folder = study_folder(tmp_path / "s", **{"test": 120} | SHAPES[shape])
    page = page_of(folder)
    text = page.text()
    assert not re.search(r"\b(None|nan|inf|Undefined|\[\]|\{\})\b", text), text
    assert ("What the GANs did" in text) == ("GAN" in shape and shape != "no GAN" or _has_games(folder))
    assert "How it was done" in text
    assert all(len(a["aria-label"]) > 20 for _, a, _ in page.all("svg") if a.get("role") == "img")


def _has_games(folder: Path) -> bool:
    summary = summary_of(folder)
    return bool(summary["games"] or summary["gates"])


LATER = (
    "unclean",
    "pretrained",
    "features_seconds",
    "more_labels",
    "leading",
    "short",
    "running",
    "against",
    "wrong",
    "suspects",
    "files",
)  # older ones lack them


def test_what_no_study_may_lack_is_refused(tmp_path):
    folder = study_folder(tmp_path / "s", methods=["svm", "cnn"], test=40, budgets=["5"], repeats=1)
    summary = summary_of(folder)
    for key in summary.keys() - {"format", *LATER}:
        with pytest.raises(FileFormatError, match=f"lacks .*'{key}'"):
            rewritten(folder, {k: v for k, v in summary.items() if k != key})
    summary["scores"][1]["accuracy"]["maen"] = summary["scores"][1]["accuracy"].pop("mean")
    with pytest.raises(FileFormatError, match="no .*'maen', did you mean mean"):
        rewritten(folder, summary)


def test_pictures_may_be_gone(tmp_path):
    folder = study_folder(tmp_path / "s", **FEW, budgets=["5"])
    shutil.rmtree(folder / "pictures")
    shutil.rmtree(folder / "runs")
    page = page_of(folder)
    assert "picture not found" in page.text() and not page.all("img")


def test_a_loss_that_was_not_finite_is_a_gap(tmp_path):
    folder = study_folder(tmp_path / "s", **FEW, budgets=["5"])
    summary = summary_of(folder)
    summary["games"][0]["curves"] = {"G/NonSaturating": [[0, 1.0], [10, None], [20, 3.0]], "D/L1": [[0, None]]}
    page = rewritten(folder, summary)
    assert any(
        "first and last value of each line: 1 to 3." in a["aria-label"] for _, a, _ in page.all("svg") if "role" in a
    )


# Errors and layers


@pytest.mark.parametrize(
    ("content", "id"),
    [
        (None, "study-summary"),
        ("{", "bad-json"),
        ("[]", "study-format"),
        ('{"format": 99}', "study-format"),
        ('{"format": 1, "command": "sparring compare x"}', "study-format"),
    ],  # fmt: skip
)
def test_summaries_that_cannot_be_read_are_refused(tmp_path, content, id):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(FileFormatError) as caught:
        write(tmp_path)
    assert caught.value.id == id and str(tmp_path) in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_full_disk_leaves_the_older_report(tmp_path, monkeypatch):
    folder = study_folder(tmp_path / "s", **FEW)
    before = write(folder).read_bytes()

    there = set(folder.rglob("*"))

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(MachineError, match="the disk is full"):
        write(folder)
    assert (folder / "report.html").read_bytes() == before
    assert set(folder.rglob("*")) == there


def test_the_report_needs_neither_torch_nor_sklearn(study):
    code = (
        "import sys; from sparring.reporting import write; write(sys.argv[1]);"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'pandas') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, study], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]" and not run.stderr


# In a browser


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: install Debian's chromium to open the report in a browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as p:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        yield p.chromium.launch(executable_path=str(CHROMIUM), args=sandbox)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_in_chromium(browser, tmp_path, width, scheme):
    folder = study_folder(tmp_path / "s", **FEW, classes=HOSTILE)
    path = write(folder)
    tab = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(path.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert not said
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    sizes = tab.evaluate(
        "[...document.querySelectorAll('svg.figure text')].map(t => t.getBoundingClientRect())"
        ".filter(r => r.width).map(r => Math.min(r.width, r.height))"
    )
    assert min(sizes) > 5
    outside = tab.evaluate(
        "[...document.querySelectorAll('svg.figure')].filter(s => s.getBoundingClientRect().width)"
        ".flatMap(s => [...s.querySelectorAll('text')].filter(t => t.getBoundingClientRect().right >"
        " s.getBoundingClientRect().right + 3 || t.getBoundingClientRect().left < s.getBoundingClientRect().left - 3)"
        ".map(t => t.textContent))"
    )
    assert not outside
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 28)")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('href')") == "#verdict"
    tab.close()


def test_on_paper_everything_is_unfolded(browser, study, whole):
    tab = browser.new_page(color_scheme="dark")
    tab.goto((study / "report.html").as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--page').trim()") == "#ffffff"
    heights = tab.evaluate(
        "[...document.querySelectorAll('details')].map(d => d.getBoundingClientRect().height"
        " / d.querySelector('summary').getBoundingClientRect().height)"
    )
    assert len(heights) > 3 and min(heights) > 1.5
    tab.close()


def test_ids_in_a_figure_are_never_taken_for_colours(monkeypatch):
    from types import SimpleNamespace

    from sparring.reporting import svg

    monkeypatch.setattr(svg, "sha1", lambda *_, **__: SimpleNamespace(hexdigest=lambda: "0f01f23456789"))
    figure = svg.Figure()
    figure.subplots().plot([1, 2], marker="o")  # a marker is defined once and used by its id
    drawn = svg.inline_svg(figure, alt="two points")
    assert 'href="#s0f01f23456' in drawn
