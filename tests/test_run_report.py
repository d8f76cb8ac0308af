"""The report of a training run: what its files say, in plain words, in one file that loads nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_report import HOSTILE, Page, browser, page_of  # noqa: F401  a fixture

from sparring import files, games
from sparring.errors import FileFormatError
from sparring.games.curve_names import all_curves
from sparring.images import grid, save_animation, save_png
from sparring.records import RECORDS, CurveName, pretty, to_json
from sparring.reporting import line_figures, loss_names, run_page, write

EVENTS = (
    {"time": 1.7952e9, "event": "started", "images": 0},
    {"time": 1.7952e9, "event": "suspect", "round": 20, "images": 1280, "signal": "alike", "words": "they are alike"},
    {"time": 1.7952e9, "event": "went back", "round": 30, "images": 1920, "to": 640, "signals": ["alike"],
     "change": "rates halved", "words": "samples have become alike; went back to image 640, rates halved"},
    {"time": 1.7952e9, "event": "resumed", "round": 40, "images": 2560},
    {"time": 1.7952e9, "event": "warning", "round": 50, "images": 3200, "signal": "copies", "words": "they are copies"},
    {"time": 1.7952e9, "event": "done", "images": 6400},
)  # fmt: skip


def tiles(count: int, seed: int = 0) -> np.ndarray:
    """uint8 [count,8,8,1], each of one grey that tells its number."""
    greys = (np.arange(count) * 7 + 3 * seed) % 256
    return np.broadcast_to(greys[:, None, None, None], (count, 8, 8, 1)).astype(np.uint8)


def run_folder(
    folder: Path, recipe="cgan", *, events=EVENTS, classes=("cat", "dog"), images=6400, name=None, rounds=100
) -> Path:
    """What `sparring train` would have written, without training."""
    (folder / "samples").mkdir(parents=True)
    whole = games.RECIPES[recipe]
    settings = {"images": 6400, "seed": 3, "precision": "fp32", "recipe_name": name or recipe, "source": "photos"}
    written = {
        "format": 1,
        "settings": settings | {"held": 89},
        "recipe": to_json(whole),
        "python": pretty(whole, width=92),
    }
    written["curves"] = [to_json(curve) for curve in all_curves(whole)]
    data_spec = {"kind": "DataSpec", "channels": 1, "height": 8, "width": 8, "classes": len(classes)}
    (folder / "recipe.json").write_text(json.dumps(written))
    (folder / "data.json").write_text(
        json.dumps({"facts": data_spec, "classes": list(classes), "fingerprint": "f00d" * 16})
    )
    log = []
    for k in range(1, rounds + 1):
        means = {
            "D/NonSaturating": 1.4 - k / 1000,
            "D/FractionReal/real": 0.9,
            "D/FractionReal/fake": k / 200,
            "G/NonSaturating": 0.7,
        }
        line = {"round": k, "images": 64 * k, "seconds": 0.5 * k, "images_per_second": 128.0, "skipped": 2}
        log.append(line | {"means": means, "gradients": {"D": 0.5, "G": 0.1}})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log if line["images"] <= images))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for at in range(0, images + 1, 640):
        save_samples(folder / f"samples/images-{at:09d}.png", tiles(16, at // 640))
    return folder


def save_samples(path: Path, images: np.ndarray) -> None:
    save_png(path, grid(images, columns=8), generated=True)
    files.write_arrays(path.with_suffix(".npz"), images=images.reshape(-1, 8, *images.shape[1:]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = run_folder(tmp_path_factory.mktemp("reports") / "run")
    (folder / "inside").mkdir()
    save_png(folder / "inside/walk.png", grid(tiles(12), columns=6))
    view = {
        "name": "walk",
        "title": "From class to class",
        "file": "walk.png",
        "shape": [2, 6],
        "words": "the noise stays",
    }
    views = [
        view | {"rows": ["cat \u2192 dog", "dog \u2192 cat"], "columns": []},
        {"file": "gone.png", "title": "Gone"},
    ]
    (folder / "inside/views.json").write_text(json.dumps({"generator": "0", "views": views}))
    save_animation(folder / "inside/training.webp", np.stack([grid(tiles(4, seed)) for seed in (0, 9)]), generated=True)
    scores = [
        {"name": "kernel distance", "value": 0.0123, "low": 0.01, "high": 0.0149, "unit": "", "what": "lower is better"}
    ]
    (folder / "scores.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture(scope="module")
def page(whole) -> Page:
    return page_of(whole)


def test_what_was_trained_and_how_it_ended(page):
    text = page.text()
    assert "cgan on \u201cphotos\u201d" in text
    assert "A generator for 8 \u00d7 8 grey images of 2 classes" in text and "Mirza & Osindero 2014" in text
    assert (
        "Trained to the end, on 6,400 images. Training went back to a healthier state once; there is 1 warning; "
        in text
    )
    assert "2 steps gave numbers that are not finite and left no trace." in text
    assert "6,400 images, seed 3, precision fp32" in text and "89 training images were kept" in text
    assert re.search(r"time50\ss128 images a second", text) and "f00d" * 16 in text
    assert "kernel distance0.0120.010 to 0.015Lower is better." in text


def test_the_recipe_is_the_one_that_was_trained(page):
    code = next(text for tag, a, text in page.all("code") if text.startswith("Recipe("))
    assert eval(code, dict(RECORDS)) == games.RECIPES["cgan"]
    assert max(len(line) for line in code.splitlines() if "source=" not in line and "about=" not in line) <= 92


def test_events_are_told_in_words_and_marked_in_the_curves(page):
    text = page.text()
    assert "1,280suspectedThey are alike: seen once, so nothing was changed yet." in text
    assert "1,9201 went backSamples have become alike; went back to image 640, rates halved." in text
    assert "3,2002 warningThey are copies." in text and "2,560resumedTraining went on from here." in text
    figures = [a["aria-label"] for tag, a, _ in page.all("svg") if a.get("role") == "img"]
    assert len(figures) == 5 and "called real by the discriminator during training" in figures[0]
    assert "real 0.9 to 0.9; generated 0.005 to 0.5" in figures[0]
    assert page.in_svg.count("1") == page.in_svg.count("2") == 5, "a number in every panel"


def test_samples_over_time_show_the_same_noise(whole):
    run = run_page.read_run(whole)
    found = run_page.history(run)
    assert found.rows[0] == "start" and found.rows[-1] == "6,400" and found.columns == ()  # 10 tiles, 2 classes
    for at, path in run.samples:
        sheet = run_page.tiles(path)
        assert np.array_equal(sheet.reshape(16, 8, 8, 1), tiles(16, at // 640))
    labelled, plain = (run_page._first_images(sheet, labelled) for labelled in (True, False))
    assert np.array_equal(labelled, sheet.reshape(16, 8, 8, 1)[[k % 2 * 8 + k // 2 for k in range(10)]])
    assert np.array_equal(plain, sheet.reshape(16, 8, 8, 1)[:10])


def test_a_run_that_kept_pictures_only_shows_the_newest_whole(tmp_path):
    folder = run_folder(tmp_path / "run", rounds=2)
    for path in folder.glob("samples/*.npz"):
        path.write_bytes(b"PK broken") if "6400" in path.name else path.unlink()
    page = page_of(folder)
    assert "Samples over time" not in page.text()
    assert [a["alt"] for _, a, _ in page.all("img")] == ["Newest images of the run"]


@pytest.mark.parametrize(
    ("kept", "said"), [([0, 640], "What it draws now."), ([0, 320], "What it drew after 320 images.")]
)
def test_the_newest_samples_are_shown_with_their_moment(tmp_path, kept, said):
    folder = run_folder(tmp_path / "run", images=0, rounds=10)
    (folder / "log.jsonl").write_text(json.dumps({"round": 10, "images": 640, "seconds": 5.0}) + "\n")
    for at in kept:
        save_samples(folder / f"samples/images-{at:09d}.png", tiles(16, at))
    page = page_of(folder)
    assert said in page.text() and "Samples over time" in page.text()
    assert page.all("img")[0][1]["alt"] == "Newest images of the run"


def test_the_untrained_start_is_never_shown_as_what_a_trained_run_draws(tmp_path):
    folder = run_folder(tmp_path / "run", images=0)
    assert "What it draws now." in page_of(folder).text()
    (folder / "log.jsonl").write_text(json.dumps({"round": 10, "images": 640, "seconds": 5.0}) + "\n")
    page = page_of(folder)
    assert not page.all("img") and not re.search("What it dr|Samples over time|As a film", page.text())


def test_translators_are_shown_between_source_and_target(tmp_path):
    folder = run_folder(tmp_path / "run", "inpaint", rounds=2)
    for path in (folder / "samples").glob("*.png"):
        save_samples(path, tiles(24, int(path.stem[7:]) // 640))
    found = run_page.read_run(folder)
    shown = run_page.history(found)
    assert run_page.row_names(found) == ["source", "made", "target"]
    assert shown.rows[:2] == ["source", "start"] and shown.rows[-2:] == ["6,400", "target"]
    text = page_of(folder).text()
    assert "Networks that make images from images" in text and "The same sources, seen through" in text
    assert "sparring translate RUN" in text or "sparring sample" not in text


def test_ticks_can_be_told_apart():
    assert line_figures.distinct_ticks([0.5, 1.0]) == ["0.5", "1"]
    assert line_figures.distinct_ticks([1.3861, 1.3862, 1.3863]) == ["1.3861", "1.3862", "1.3863"]


def test_pictures_from_inside(page):
    text = page.text()
    assert "From class to class" in text and "cat \u2192 dog" in text and "Gone" not in text
    alts = [a["alt"] for _, a, _ in page.all("img")]
    assert alts == [
        "Newest images of the run",
        "The same noise at several moments of training",
        "Film of the samples during training",
        "From class to class",
    ]
    assert any(a["src"].startswith("data:image/webp") for _, a, _ in page.all("img"))


def test_nothing_is_loaded_from_anywhere(whole, page):
    html = (whole / "report.html").read_text(encoding="utf-8")
    assert not page.all("script", "iframe", "object", "embed", "form", "base")
    for tag, attributes, _ in page.all("img", "a", "link", "use"):
        for key in ("src", "href"):
            assert (attributes.get(key) or "#").startswith(("data:", "#")), (tag, key)
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    assert "default-src 'none'; img-src data:" in html
    assert write(whole).read_text(encoding="utf-8") == html, "the same every time"


def test_readable_aloud(page):
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(a["href"][1:] in ids for _, a, _ in page.all("a"))
    levels = [int(tag[1]) for tag, _, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("role") == "region" and a["aria-label"] for _, a, _ in page.elements if a.get("class") == "scroll")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "Not finished: 3,200 of 6,400 images so far"),
        (EVENTS[:1], "Not finished: 3,200 of 6,400 images so far. 2 steps"),
        ([{"event": "stopped", "images": 3200, "time": 1}], "Stopped at 3,200 of 6,400 images; the same"),
        ([{"event": "4 minutes are over", "images": 3200, "time": 1}], "of 6,400 images, because 4 minutes are over"),
        ([{"event": "diverged", "images": 3200, "time": 1, "words": "samples are alike, after 3 new attempts"}],
         "Training diverged and could not be saved: samples are alike, after 3 new attempts"),
    ],
)  # fmt: skip
def test_how_a_run_can_end(tmp_path, events, said):
    assert said in page_of(run_folder(tmp_path / "run", events=events, images=3200, rounds=60)).text()


def test_whatever_is_missing(tmp_path):
    folder = run_folder(tmp_path / "run", "classifier", events=[], images=0)
    for name in ("log.jsonl", "events.jsonl"):
        (folder / name).unlink()
    for path in (folder / "samples").iterdir():
        path.unlink()
    text = page_of(folder).text()
    assert not re.search(r"\b(None|nan|Undefined|\[\]|\{\})\b", text) and "No curves are on record yet" in text
    (folder / "data.json").write_text("{}")
    (folder / "recipe.json").write_text("{}")
    assert "a recipe on" in page_of(folder).text()
    (folder / "samples/images-000000001.png").write_bytes(b"broken")
    (folder / "samples/images-000000002.png").write_bytes(b"broken")
    assert "Samples over time" not in page_of(folder).text()
    (folder / "recipe.json").write_text("{")
    with pytest.raises(FileFormatError):
        write(folder)
    with pytest.raises(FileFormatError, match="sparring compare or sparring train wrote"):
        write(tmp_path)


def test_hostile_names_are_only_text(tmp_path):
    folder = run_folder(tmp_path / "run", classes=HOSTILE, name=HOSTILE[0])
    events = [{"event": "warning", "images": 64, "time": 1, "words": word} for word in HOSTILE]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    page = page_of(folder)
    assert not page.all("script") and not [a for _, a, _ in page.elements if any(k.startswith("on") for k in a)]
    text = page.text()
    assert "<script>alert(1)</script>" in text and "{{ 7 * 7 }}{% raw %}" in text
    assert "\u202e" not in text and "line\\nbreak\\ttab" in text


def test_curves_are_called_as_the_recipe_says(tmp_path):
    folder = run_folder(tmp_path / "run", "infogan", rounds=1)
    key = next(key for key, curve in run_page.read_run(folder).curves.items() if curve.title == "loss on the codes")
    (folder / "log.jsonl").write_text(json.dumps({"images": 64, "seconds": 1, "means": {key: 2.3}}) + "\n")
    assert "loss on the codes" in "".join(page_of(folder).in_svg)


def test_curves_without_names_are_called_by_their_class():
    """Of runs before names were written, and of studies."""
    found = loss_names.panels([{"curves": {key: [[1, 2.0]] for key in ("D/R1+", "G/Own", "D/FractionReal/fake")}}])
    assert {(p.title, p.lines[0][0]) for p in found} == {
        ("called real by the discriminator", "generated"),
        ("penalty on its slope (2)", "real"),
        ("G/Own", ""),
    }
    written = CurveName("G/Own", "generator", "loss of mine")
    assert loss_names.panels([{"curves": {"G/Own": [[1, 2.0]]}}], {"G/Own": written})[0].title == (
        "generator: loss of mine"
    )


def test_it_needs_no_torch(whole):
    code = "import sys; from sparring.reporting import write; write(sys.argv[1]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, whole], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False" and not done.stderr


@pytest.mark.parametrize("width", [390, 1280])
def test_in_chromium(browser, whole, width):  # noqa: F811
    tab = browser.new_page(viewport={"width": width, "height": 844})
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(write(whole).as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert not said and [url for url in asked if not url.startswith("data:")] == [(whole / "report.html").as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    cut = tab.evaluate(
        "[...document.querySelectorAll('.strip img')].map(i => i.getBoundingClientRect().right"
        " - i.closest('.scroll').getBoundingClientRect().right)"
    )
    assert max(cut) <= 1
    beside = tab.evaluate(
        "[...document.querySelectorAll('.strip')].filter(s => s.querySelector('.down')).map(s => "
        "['.down', 'img'].map(what => s.querySelector(what).getBoundingClientRect().height))"
    )
    assert beside and all(abs(a - b) < 2 for a, b in beside), "names stand beside their rows"
    tab.close()
