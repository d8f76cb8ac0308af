"""Mistakes and labels to check: confident learning, the tables of a study, and the page that shows them."""

import csv
import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from arms import Arm, stripes, table
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from test_report import CHROMIUM, HOSTILE, Page, page_of

from sparring import files
from sparring.classifiers.described import handmade_description
from sparring.cli.drawings import lists_words
from sparring.data import ImageSet
from sparring.features import extract
from sparring.reporting import write
from sparring.study import Sealed, compare, mistakes, summarise
from sparring.study.audit import label_errors
from sparring.study.audit.label_errors import check_labels, confident_joint, find_label_errors, held_out_probabilities
from sparring.study.mistake_list import MistakeList
from sparring.study.plan import Study
from sparring.study.prepared import split_and_seal
from sparring.study.summary import Summary

WEAK = table(Arm("weak", settings={"blur": 30.0}), Arm("floor", "floor", settings={"blur": 1e6}))
QUICK = {"jobs": 0, "model": False, "labels": "all", "repeats": 6, "pretrained": "none"}


def quick(out: Path, source: object = None, **settings) -> Summary:
    return compare(source or wrongly(stripes(noise=60.0)), out, **{"methods": WEAK, **QUICK, **settings})


def wrongly(images: ImageSet, count: int = 12) -> ImageSet:
    """Return the images with some labels wrong."""
    labels = images.labels.copy()
    some = np.random.default_rng(7).choice(len(labels), count, replace=False)
    labels[some] = (labels[some] + 1) % len(images.classes)
    return replace(images, labels=labels)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Summary:
    """A study with mistakes and suspects that tests only read."""
    return quick(tmp_path_factory.mktemp("mistakes") / "study")


# Confident learning.


def random_case(seed: int, classes: int = 4, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, classes, count), random.dirichlet(np.full(classes, 0.4), count)


@pytest.mark.parametrize("seed", range(5))
def test_label_errors_are_those_of_the_papers_formula(seed):
    """Equations 1 and 2 and the normalised margin again, image by image.

    benchmarks/label_errors.py finds the same images in the same order by the authors' cleanlab.
    """
    labels, proba = random_case(seed, classes=2 + seed)
    every = range(proba.shape[1])
    means = [np.mean([p[k] for p, y in zip(proba, labels, strict=True) if y == k]) for k in every]
    joint, suspected = np.zeros((len(every), len(every)), int), []
    for i, (p, y) in enumerate(zip(proba, labels, strict=True)):
        reached = [k for k in every if p[k] >= means[k]]
        if reached:
            best = max(reached, key=lambda k: p[k])
            joint[y, best] += 1
            margin = p[y] - max(p[k] for k in every if k != y)
            if best != y and margin < 0:
                suspected.append((margin, i, best, p[best]))
    found = find_label_errors(labels, proba)
    assert np.array_equal(confident_joint(labels, proba), joint)
    assert len(found) > 20
    for mine, theirs in zip(
        (found.margin, found.index, found.suggested, found.confidence),
        zip(*sorted(suspected), strict=True),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_a_class_without_labels_is_never_reached():
    labels, proba = np.array([0, 0, 1, 1]), np.array([[0.1, 0.1, 0.8]] * 4)
    assert len(find_label_errors(labels, proba)) == 2  # of class 0, equally probable as class 1
    assert confident_joint(labels, proba)[:, 2].sum() == 0


def test_planted_wrong_labels_of_digits_are_found():
    digits = load_digits()
    labels, random = digits.target.copy(), np.random.default_rng(0)
    planted = random.choice(len(labels), len(labels) // 20, replace=False)
    labels[planted] = (labels[planted] + random.integers(1, 10, len(planted))) % 10
    images = (digits.images * 15.9).astype(np.uint8)[..., None]
    found = check_labels(handmade_description(images)[1], labels).errors
    hit = np.isin(found.index, planted)
    assert hit.mean() > 0.95  # measured: 1.00
    assert hit.sum() > 0.75 * len(planted)  # measured: 0.83
    assert (found.suggested == digits.target[found.index]).mean() > 0.9
    assert (np.diff(found.margin) >= 0).all()


def test_the_less_the_classifier_agrees_with_the_labels_the_surer_it_must_be():
    """Of classes that can hardly be told apart hardly any label is suspected."""
    images = stripes(900, noise=200.0)
    x = handmade_description(images.images)[1]
    proba = held_out_probabilities(x, images.labels)
    every, found = find_label_errors(images.labels, proba), check_labels(x, images.labels)
    assert found.agreed == pytest.approx((proba.argmax(1) == images.labels).mean()) and 0.4 < found.agreed < 0.7
    assert len(every) > 100 and len(found.errors) < 30
    assert found.errors.index.tolist() == every.index[every.margin <= -0.9].tolist()


def test_held_out_probabilities_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(label_errors, "ENOUGH", 1e-5)
    digits = load_digits(n_class=4)
    x, labels = (digits.data / 100).astype(np.float32), digits.target
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    regression = LogisticRegression(C=label_errors.STRENGTH, class_weight="balanced", tol=1e-6, max_iter=1000)
    expected = cross_val_predict(regression, x, labels, cv=folds, method="predict_proba")
    np.testing.assert_allclose(held_out_probabilities(x, labels, seed=3), expected, atol=5e-3)


def test_many_classes_are_learned_too():
    """The gradient of each class is small there: a regression that ends at a fixed one has not begun."""
    labels, random = np.arange(2000) % 200, np.random.default_rng(0)
    x = random.normal(size=(200, 512))[labels] + 0.5 * random.normal(size=(2000, 512))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    assert (held_out_probabilities(x, labels).argmax(1) == labels).mean() > 0.95


def test_classes_with_few_labels_are_left_out():
    random = np.random.default_rng(0)
    labels = np.array([0] * 20 + [1] * 4 + [2] * 20 + [-1] * 9)
    labels[3] = 2
    x = np.eye(3, dtype=np.float32)[np.where(np.arange(53) < 20, 0, 2)] + 0.1 * random.normal(size=(53, 3))
    found = check_labels(x.astype(np.float32), labels)
    assert found.left_out == (1,) and found.checked == 40
    assert found.errors.index.tolist() == [3] and found.errors.suggested.tolist() == [0]
    none = check_labels(x, np.where(labels == 2, -1, labels))
    assert (len(none.errors), none.checked, none.left_out) == (0, 0, (1,))
    empty = check_labels(np.zeros_like(x), labels)
    assert (len(empty.errors), empty.checked) == (0, 0)


def test_of_very_many_labels_some_of_each_class_are_checked(monkeypatch):
    monkeypatch.setattr(label_errors, "MOST_CHECKED", 300)
    labels = np.array([0] * 500 + [1] * 100 + [2] * 6)
    kept = label_errors.some_of(np.arange(606), labels, 0)
    assert np.bincount(labels[kept]).tolist() == [82, 16, 5]  # 300 / (606 * 3) of each, at least 5
    assert (np.diff(kept) > 0).all()
    assert np.array_equal(kept, label_errors.some_of(np.arange(606), labels, 0))


# The tables.


def test_predictions_are_those_of_the_files(done):
    """Again from predictions/*.npz and the seal."""
    truth = Sealed.read(done.folder / "sealed.bin", done.fingerprint).opened(lambda: None)
    written = rows(done.folder / "predictions.csv")
    assert len(written) == 2 * len(truth)
    for method in WEAK:
        proba = np.stack([np.load(done.folder / f"predictions/{method}-all-{r}.npz")["proba"] for r in range(6)])
        mine, mean = [row for row in written if row["method"] == method], proba.mean(0, dtype=float)
        assert [row["answer"] for row in mine] == ["abc"[k] for k in mean.argmax(1)]
        assert [row["truth"] for row in mine] == ["abc"[k] for k in truth]
        np.testing.assert_allclose([float(row["confidence"]) for row in mine], mean.max(1), atol=1e-6)
        right = (proba.argmax(2) == truth).mean(0)
        np.testing.assert_allclose([float(row["right_share"]) for row in mine], right, atol=1e-6)
        assert {row["labels"] for row in mine} == {"all"}


def test_mistakes_are_all_wrong_answers_most_confident_first(done):
    assert done.recommended == "weak"
    written = rows(done.folder / "mistakes.csv")
    wrong = [r for r in rows(done.folder / "predictions.csv") if r["method"] == "weak" and r["answer"] != r["truth"]]
    score = done.score(done.recommended, done.recommendation.budget)
    assert len(written) == done.wrong == score.wrong == len(wrong) > 5
    assert f"the {score.wrong} test images" in done.verdict + str(done.recommendation.next)
    assert {(r["file"], r["truth"], r["answer"]) for r in written} == {
        (r["file"], r["truth"], r["answer"]) for r in wrong
    }
    confidences = [float(r["confidence"]) for r in written]
    assert confidences == sorted(confidences, reverse=True)
    shares = {r["file"]: float(r["right_share"]) for r in wrong}
    for row in written:
        assert int(row["wrong_in"]) == round(6 * (1 - shares[row["file"]])) and row["repeats"] == "6"
    assert [m.origin for m in done.mistakes] == [r["file"] for r in written][:24]


def test_the_nearest_training_image_is_that_of_scikit_learn(done):
    images = wrongly(stripes(noise=60.0))
    place = {origin: i for i, origin in enumerate(images.origins)}
    tested = {r["file"] for r in rows(done.folder / "predictions.csv")}
    train = np.array([i for origin, i in place.items() if origin not in tested])
    features = extract("hog", images.images)
    features = np.sqrt(features) / np.linalg.norm(np.sqrt(features), axis=1, keepdims=True)
    for row in rows(done.folder / "mistakes.csv"):
        query = features[[place[row["file"]]]]
        distance, found = NearestNeighbors(n_neighbors=1).fit(features[train]).kneighbors(query)
        assert row["nearest"] == images.origins[train[found[0, 0]]]
        assert row["nearest_class"] == images.classes[images.labels[place[row["nearest"]]]]
        assert float(row["distance"]) == pytest.approx(distance[0, 0], abs=1e-5)


def test_unlabelled_images_are_never_the_nearest(tmp_path):
    images = stripes(noise=110.0, unlabelled=100)
    out = quick(tmp_path / "study", images).folder
    hidden = {images.origins[i] for i in np.flatnonzero(images.labels < 0)}
    near = [row["nearest"] for row in rows(out / "mistakes.csv")]
    assert near and not hidden & set(near)


def test_suspects_are_training_images_with_another_class_suggested(tmp_path):
    images = wrongly(stripes(noise=20.0))
    out = quick(tmp_path / "study", images).folder
    written, tested = rows(out / "suspects.csv"), {r["file"] for r in rows(out / "predictions.csv")}
    truth = {o for o, k in zip(images.origins, images.labels.tolist(), strict=True) if o[0] != images.classes[k]}
    found, planted = {r["file"] for r in written}, truth - tested
    assert found <= planted and len(found) >= 0.8 * len(planted)
    assert all(r["label"] != r["suggested"] == r["file"][0] for r in written)
    assert Summary.read(out).suspects == len(written) > 5


def test_cells_are_safe_in_a_spreadsheet(tmp_path):
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1", 'a,"b"', "line\nbreak", "\tx", "caf\u00e9", "x=1", ""]
    files.write_csv(tmp_path / "t.csv", ("a", "b"), [(text, -0.5) for text in texts])
    read = rows(tmp_path / "t.csv")
    expected = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\uff1d1", 'a,"b"', "line\\nbreak", "\\tx", "caf\u00e9", "x=1", ""]
    assert [row["a"] for row in read] == expected
    assert {row["b"] for row in read} == {"-0.5"}


def test_hostile_names_are_only_text_in_tables_and_on_the_page(tmp_path):
    images = wrongly(stripes(noise=60.0), 20)
    names = [f"{name}/{i}" for i, name in zip(range(240), itertools.cycle(["=cmd", *HOSTILE]), strict=False)]
    hostile = replace(images, origins=tuple(names), classes=("=HYPERLINK(1)", HOSTILE[0], HOSTILE[1]))
    out = quick(tmp_path / "study", hostile).folder
    for name in ("predictions.csv", "mistakes.csv", "suspects.csv"):
        written = rows(out / name)
        assert written
        assert not [cell for row in written for cell in row.values() if cell[:1] in tuple("=+-@") and name[0] != "s"]
    page_of(out)
    page = Page((out / "mistakes.html").read_text(encoding="utf-8"))
    assert not page.all("script") and not [a for _, a, _ in page.elements if any(k.startswith("on") for k in a)]
    assert "<script>alert(1)</script>" in page.text()


def test_a_study_that_still_runs_writes_no_lists(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("sparring.study.job.write_lists", lambda *given, **more: written.append(1) or given[1])
    monkeypatch.setattr("sparring.study.fits.Fits.summarise_now", lambda self: self.interim())
    quick(tmp_path / "study")
    assert written == [1]


# Where things are missing.


def test_where_nothing_is_recommended_labels_are_checked_all_the_same(tmp_path):
    random = table(Arm("random", settings={"blur": 1e6}), Arm("floor", "floor", settings={"blur": 1e6}))
    summary = quick(tmp_path / "study", wrongly(stripes(noise=20.0)), methods=random)
    assert (summary.recommended, summary.wrong) == (None, None)
    assert summary.suspects == len(rows(summary.folder / "suspects.csv")) > 5
    assert not rows(summary.folder / "mistakes.csv")
    text = page_of(summary.folder).text()
    assert "labels to check" in text and "mistakes.csv" not in text
    page = Page((summary.folder / "mistakes.html").read_text(encoding="utf-8"))
    assert "No method is recommended" in page.text() and not [
        a for _, a, _ in page.all("section") if a["id"] != "labels"
    ]


def test_too_few_labels_are_said(tmp_path):
    summary = quick(tmp_path / "study", stripes(12, noise=110.0), repeats=2)
    assert summary.suspects == 0
    assert "too few labels to check" in page_of(summary.folder).text()
    page = Page((summary.folder / "mistakes.html").read_text(encoding="utf-8"))
    assert "too few labels to check" in page.text()


def on_disk(images: ImageSet, folder: Path) -> Path:
    for origin, pixels, label in zip(images.origins, images.images, images.labels.tolist(), strict=True):
        path = folder / images.classes[label] / Path(origin).name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    return folder


def test_a_study_whose_images_are_gone_keeps_its_lists_only_while_they_are_true(tmp_path):
    source, out = on_disk(wrongly(stripes(noise=60.0)), tmp_path / "data"), tmp_path / "study"
    first = quick(out, source)
    shutil.rmtree(source)
    again = summarise(out)
    assert (again.wrong, again.suspects, again.files) == (first.wrong, first.suspects, first.files)
    write(out)
    assert (out / "mistakes.html").exists()
    lines = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(b"".join(lines[:-2]))  # fewer fits: other scores
    other = summarise(out)
    assert (other.wrong, other.suspects, other.files) == (None, None, ())
    assert not [name for name in (*first.files, "mistakes.html", "pictures/mistakes") if (out / name).exists()]
    text = page_of(out).text()
    assert "needs the images where they were" in text
    assert not list(lists_words(other, out))


def test_older_studies_have_a_report_without_lists(tmp_path, done):
    out = Path(shutil.copytree(done.folder, tmp_path / "old"))
    summary = files.read_json(out / "summary.json")
    for name in ("wrong", "suspects", "files"):
        del summary[name]
    for mistake in summary["mistakes"]:
        for name in ("nearest", "nearest_class", "nearest_picture", "distance"):
            mistake.pop(name, None)
    files.write_json(out / "summary.json", summary)
    page = page_of(out)
    assert "needs the images where they were" in page.text()
    assert not [a for _, a, _ in page.all("a") if not a["href"].startswith("#")]
    files.write_json(out / "summary.json", files.read_json(done.folder / "summary.json"))
    (out / "mistakes.json").write_text("{")
    assert "needs the images where they were" in page_of(out).text()


def test_an_encoder_that_is_gone_is_replaced_by_handmade_features(tmp_path):
    out = quick(tmp_path / "study").folder
    study = Study.read(out)
    settings = replace(study.definition.settings, pretrained=str(tmp_path / "nowhere"))
    study.definition = replace(study.definition, settings=settings, features_seconds=1.0)
    images = wrongly(stripes(noise=60.0))
    prepared = split_and_seal(images, seed=0, test=0.2)
    found = mistakes.study_features(study, prepared)
    assert found.name == "edges (hog)" and not list(out.glob(".tmp-*"))


# The page.


def test_the_page_shows_every_mistake_in_its_group(done):
    report = page_of(done.folder)
    links = {a["href"]: text for _, a, text in report.all("a") if not a["href"].startswith("#")}
    assert links == {
        "mistakes.html#mistakes": f"All {done.wrong} mistakes",
        "mistakes.html#labels": f"{done.suspects} labels to check",
    }
    html = (done.folder / "mistakes.html").read_text(encoding="utf-8")
    page, found = Page(html), MistakeList.read(done.folder)
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for _, a, _ in page.all("a")} - {f"#{name}" for name in ids} == {"report.html"}
    policy = [a["content"] for _, a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not page.all("script")
    pictures = page.all("img")
    assert len(pictures) == 2 * len(found.mistakes) + len(found.suspects)
    assert all(a["src"].startswith("data:") and a["alt"] and a["width"] for _, a, _ in pictures)
    counts = {}
    for m in found.mistakes:
        counts[m.true, m.said] = counts.get((m.true, m.said), 0) + 1
    heads = [text for tag, a, text in page.all("h3") if a["id"].startswith("confused-")]
    several = sorted((n for n in counts.values() if n > 1), reverse=True)
    assert [int(text.split()[-2]) for text in heads][: len(several)] == several
    for text in heads[: len(several)]:
        true, _, said, number, _ = text.split()
        assert counts[true, said] == int(number)
    for m in found.mistakes:
        assert m.origin in page.text() and m.nearest in page.text()


def test_of_more_mistakes_than_the_page_has_room_for_the_most_confident_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(mistakes, "SHOWN_MISTAKES", 5)
    monkeypatch.setattr(mistakes, "SHOWN_SUSPECTS", 3)
    summary = quick(tmp_path / "study")
    found = MistakeList.read(summary.folder)
    written = rows(summary.folder / "mistakes.csv")
    assert len(written) == found.wrong == summary.wrong > 5 == len(found.mistakes)
    assert [m.origin for m in found.mistakes] == [row["file"] for row in written[:5]]
    assert len(rows(summary.folder / "suspects.csv")) == found.suspected > 3 == len(found.suspects)
    write(summary.folder)
    text = Page((summary.folder / "mistakes.html").read_text(encoding="utf-8")).text()
    assert f"The 5 most confident of {found.wrong} mistakes" in text
    assert "The 3 most suspicious are shown" in text
    assert f"of {found.check.checked} may be wrong. A regression" in text
    assert len(list((summary.folder / "pictures/mistakes").iterdir())) <= 2 * 5 + 3


def test_pictures_may_be_gone(tmp_path, done):
    out = Path(shutil.copytree(done.folder, tmp_path / "copy"))
    shutil.rmtree(out / "pictures")
    write(out)
    page = Page((out / "mistakes.html").read_text(encoding="utf-8"))
    assert "picture not found" in page.text() and not page.all("img")


def test_pictures_of_large_images_are_small():
    image = np.zeros((300, 600, 3), np.uint8)
    assert mistakes.small(image).shape == (80, 160, 3)
    assert mistakes.small(image[:100, :160]).shape == (100, 160, 3)


def test_the_terminal_names_the_lists(done):
    said = list(lists_words(done, Path("out")))
    assert said == [
        f"All {done.wrong} mistakes: out/mistakes.html (mistakes.csv)",
        f"{done.suspects} labels to check: out/mistakes.html#labels (suspects.csv)",
    ]
    assert not list(lists_words(replace(done, wrong=0, suspects=0), Path("out")))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_in_chromium(done, width, scheme):
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: install Debian's chromium to open the page in a browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    write(done.folder)
    with playwright.sync_playwright() as p:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        tab = p.chromium.launch(executable_path=str(CHROMIUM), args=sandbox).new_page(
            viewport={"width": width, "height": 844}, color_scheme=scheme
        )
        tab.goto((done.folder / "mistakes.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        first = tab.evaluate(
            "[...document.querySelectorAll('.wrong li')[0].children].map(e => e.getBoundingClientRect().top)"
        )
        assert len(first) == 2 and first[0] == first[1]  # side by side
        tab.click("text=back to the report")
        assert tab.url.endswith("report.html")
