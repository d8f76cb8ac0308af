"""How far to trust a classifier: sets of classes, thresholds, what is unlike; against libraries and closed forms."""

import importlib.util
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as arrays_of
from safetensors.numpy import save as to_bytes
from toys import striped

from sparring.classifiers import METHODS, LogisticClassifier, classify, fit, load_model
from sparring.classifiers.doubt import promises, sorting
from sparring.classifiers.doubt.conformal import fewest, prediction_sets, score_limit, score_limits, with_best
from sparring.classifiers.doubt.drift import discrepancy, drift
from sparring.classifiers.doubt.measuring import measure_doubt
from sparring.classifiers.doubt.promises import promise_of
from sparring.classifiers.doubt.selective import accuracy_by_share, threshold
from sparring.classifiers.selection import stratified_folds
from sparring.cli import main
from sparring.data import ImageSet
from sparring.errors import FileFormatError, UsageError
from sparring.files import hash_of_json, sha256_of
from sparring.images import save_png
from sparring.words import percent

HERE = Path(__file__).parent


def made_up():
    path = HERE.parent / "benchmarks" / "conformal_libraries.py"
    spec = importlib.util.spec_from_file_location("conformal_libraries", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.made_up()


# --- sets of classes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["0.7", "0.8", "0.9"])
@pytest.mark.parametrize("library", ["mapie", "crepes", "crepes per class"])
def test_sets_are_those_of_mapie_and_crepes(library, level):
    """Their answers, by MAPIE 1.6.0 and crepes 0.9.1, are kept in a file."""
    held, labels, new = made_up()
    theirs = np.array(json.loads((HERE / "fixtures" / "conformal.json").read_text())[level][library], bool)
    limits = score_limits(held, labels, float(level), per_class=library.endswith("per class"))
    assert (prediction_sets(new, limits) == theirs).all() and theirs.any() and not theirs.all()


def test_the_limit_is_the_order_statistic_of_the_textbook():
    scores = np.random.default_rng(0).permutation(np.arange(30) / 30)
    for level in (0.5, 0.8, 0.9):
        assert score_limit(scores, level) == np.sort(scores)[math.ceil(31 * level - 1e-9) - 1]
    assert score_limit(scores, 0.97) is None and score_limit(scores[:0], 0.5) is None


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_fewest_is_where_promises_begin(level):
    n = fewest(level)
    assert score_limit(np.zeros(n), level) is not None and score_limit(np.zeros(n - 1), level) is None


def test_coverage_is_what_the_theorem_says():
    """Between the level and the level + 1 / (n + 1), over many draws of held-out images."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(2000):
        limit = score_limit(rng.random(19), 0.9)
        covered.append(limit)  # scores are uniform: the limit is the share of new ones below it
    assert 0.9 - 0.003 <= np.mean(covered) == pytest.approx(18 / 20, abs=0.004)


def test_groups_count_once_however_many_images_they_have():
    rng, scores = np.random.default_rng(1), np.arange(12) / 12
    assert score_limit(scores, 0.8, np.arange(12)) == score_limit(scores, 0.8)
    assert score_limit(np.repeat(scores, 5), 0.8, np.repeat(np.arange(12), 5)) == score_limit(scores, 0.8)
    assert score_limit(rng.random(600), 0.9, np.repeat(np.arange(8), 75)) is None  # 8 patients promise no 90 %
    lopsided = np.r_[np.full(100, 0.9), scores]
    groups = np.r_[np.zeros(100, int), 1 + np.arange(12)]
    assert score_limit(lopsided, 0.5, groups) == scores[6]  # not 0.9, which most images have


def test_too_few_labels_of_a_class_promise_nothing_for_it():
    labels = np.repeat([0, 1], [20, 5])
    proba = np.full((25, 2), 0.5)
    limits = score_limits(proba, labels, 0.9, per_class=True)
    assert limits[0] == 0.5 and np.isnan(limits[1]) and not np.isnan(score_limits(proba, labels, 0.9)).any()
    with pytest.raises(ValueError, match="too few held-out labels"):
        prediction_sets(proba, limits)


def test_no_set_need_be_empty():
    sets = prediction_sets(np.array([[0.6, 0.4], [0.9, 0.1]]), np.array([0.2, 0.2]))
    assert sets.tolist() == [[False, False], [True, False]]
    assert with_best(sets, np.array([[0.6, 0.4], [0.9, 0.1]])).tolist() == [[True, False], [True, False]]


# --- when to answer --------------------------------------------------------------------------------------------------


def brute_threshold(confidence, right, precision):
    kept = [
        c
        for c in confidence
        if ((~right[confidence >= c]).sum() + 1) / ((confidence >= c).sum() + 1) <= 1 - precision + 1e-9
    ]
    return min(kept, default=None)


@pytest.mark.parametrize("precision", [0.5, 0.8, 0.9, 0.95])
def test_the_threshold_is_the_lowest_that_keeps_the_precision(precision):
    rng = np.random.default_rng(0)
    for n in (5, 20, 200):
        confidence = rng.choice(np.linspace(0.3, 1, 40), n)  # with ties
        right = rng.random(n) < confidence
        found = threshold(confidence, right, precision)
        assert found.confidence == brute_threshold(confidence, right, precision)
        if found.confidence is not None:
            given = confidence >= found.confidence
            assert found.answered == given.mean() and found.right.mean == right[given].mean() >= precision


def test_nine_right_answers_are_the_least_that_promise_nine_of_ten():
    assert threshold(np.full(8, 0.9), np.ones(8, bool)).confidence is None
    found = threshold(np.linspace(0.5, 0.9, 9), np.ones(9, bool))
    assert (found.confidence, found.answered, found.right.mean) == (0.5, 1.0, 1.0) and found.right.low < 0.75
    assert threshold(np.full(90, 0.9), np.ones(90, bool), groups=np.repeat(np.arange(8), 12)[:90]).confidence is None
    none = threshold(np.linspace(0.5, 0.9, 100), np.zeros(100, bool))
    assert (none.confidence, none.answered, none.right) == (None, 0.0, None)


def test_the_surest_answers_are_counted_first():
    confidence, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])
    found = {a.share: (a.confidence, a.accuracy) for a in accuracy_by_share(confidence, right)}
    assert found[1.0] == (0.6, 0.75) and found[0.5] == (0.8, 1.0) and found[0.75] == (0.7, pytest.approx(2 / 3))
    assert accuracy_by_share(confidence[:0], right[:0]) == ()


# --- what a model keeps, and says ------------------------------------------------------------------------------------

KINDS = ("stripe", "band", "line")


def stripes(count, seed=0, noise=0):
    """Striped images, in which so many of the labels are wrong."""
    x, y = (tensor.numpy() for tensor in striped(count, seed=seed))
    y = y.copy()
    y[:noise] = (y[:noise] + 1) % 3
    return ImageSet(x, y, KINDS, tuple(f"{i}.png" for i in range(count)), np.full(count, "", "<U5"), "stripes")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A fitted classifier, its images, and its folder."""
    data = stripes(90, noise=6)
    found = fit(data, method="logistic", out=tmp_path_factory.mktemp("doubt") / "model", pretrained="none")
    return found.model, data, found.folder


def test_held_out_answers_are_those_of_fits_without_each_fifth(kept):
    """A flat script: the same method fitted to four fifths, asked about the rest, which it never saw."""
    model, data, _ = kept
    held = model.doubt_.held_out
    assert held.how == "folds" and model.doubt_.temperature == 1 and sorted(np.bincount(held.labels)) == [30, 30, 30]
    names = np.array(KINDS)[data.labels]
    place = 0
    for train, out in stratified_folds(np.searchsorted(model.class_names_, names), 0, 5, np.arange(90)):
        again = LogisticClassifier(random_state=0).fit(data.images[train], names[train])
        here = slice(place, place := place + len(out))
        assert (np.array(model.class_names_)[held.labels[here]] == names[out]).all()
        assert held.proba[here] == pytest.approx(again.predict_proba(data.images[out]), abs=1e-12)
    assert place == 90


def test_the_card_says_how_often_the_surest_answers_are_right(kept):
    model, _, folder = kept
    card, held = (folder / "README.md").read_text(), model.doubt_.held_out
    right = (held.proba.argmax(1) == held.labels).mean()
    assert "## How sure" in card
    assert f"| 100 % | {percent(held.proba.max(1).min())} | {percent(right)} |" in card


def test_near_duplicates_and_groups_are_held_out_together(kept):
    """Every image comes twice: what has seen the one knows the other, so held-out answers would be too good."""
    _, data, _ = kept
    rng = np.random.default_rng(0)
    noise = ImageSet(
        np.repeat(rng.integers(0, 256, (30, 12, 10, 1), np.uint8), 2, 0), np.repeat(np.arange(30) % 2, 2),
        ("a", "b"), tuple(map(str, range(60))), np.full(60, "", "<U5"), "noise",
    )  # fmt: skip
    held = fit(noise, method="logistic", pretrained="none").model.doubt_.held_out
    assert (held.proba.argmax(1) == held.labels).mean() < 0.75 and len(np.unique(held.groups)) == 30


def test_a_network_is_fitted_once_more_and_its_temperature_with_it():
    data = stripes(60, noise=6)
    settings = {"steps": 4, "threads": 1, "random_state": 0}
    model = METHODS["cnn"].make(**settings).fit(data)
    doubt = measure_doubt(model, data, pretrained="none")
    held = doubt.held_out
    assert held.how == "fifth" and len(held.labels) == 12 and doubt.temperature != 1
    assert doubt.answers(np.array([[0.2, 0.3, 0.5]])).argmax() == 2
    model.record_ = replace(model.record_, seconds={"fit": 50.0})
    none = measure_doubt(model, data, pretrained="none", minutes=1)
    assert none.held_out is None and "no room" in none.why
    model.doubt_ = none
    assert "no promise about its answers: the minutes" in promise_of(model).sentences[0]


def test_a_model_comes_back_with_what_it_promises(kept):
    model, data, folder = kept
    again, new = load_model(folder), stripes(30, seed=5).images
    assert [vars(p) for p in classify(again, list(new))] == [vars(p) for p in classify(model, list(new))]
    assert promise_of(again).sentences == promise_of(model).sentences
    said = " | ".join(promise_of(again).sentences)
    assert "90 labels held out in turn" in said and "sets of classes hold the true one in 90 %" in said


def test_answers_are_unsure_below_the_threshold_and_unlike_where_nothing_is_near(kept):
    model, data, _ = kept
    new = stripes(60, seed=5)
    grey = [np.full((12, 10), 90 + i, np.uint8) for i in range(5)]
    found, odd = classify(model, list(new.images)), classify(model, grey)
    least = promise_of(model).threshold.confidence
    assert [p.unsure for p in found] == [p.confidence < least for p in found]
    assert np.mean([p.unlike for p in found]) <= 0.1 and all(p.unlike and p.answer == "unlike" for p in odd)
    assert all(p.typical <= 0.05 for p in odd) and np.mean([p.typical for p in found]) > 0.2
    right = [p.label == KINDS[k] for p, k in zip(found, new.labels, strict=True)]
    assert np.mean([r for p, r in zip(found, right, strict=True) if p.answer == "sure"]) >= 0.9
    covered = [KINDS[k] in p.labels_in_set for p, k in zip(found, new.labels, strict=True)]
    assert np.mean(covered) >= 0.9 and all(p.label in p.labels_in_set for p in found)
    stricter = classify(model, list(new.images), unsure=0.999)
    assert all(p.unsure for p in stricter)  # 90 labels cannot show one wrong answer in a thousand
    assert "every answer is called unsure" in promise_of(model, 0.999).sentences[0]
    for wrong in (0, 1, 90):
        with pytest.raises(UsageError, match="unsure .* is no share"):
            classify(model, grey, unsure=wrong)


def test_sets_are_larger_where_more_is_promised(kept):
    model, _, _ = kept
    new = list(stripes(30, seed=5).images)
    sizes = [sum(len(p.labels_in_set) for p in classify(model, new, coverage=c)) for c in (0.8, 0.9, 0.96)]
    assert sizes[0] <= sizes[1] < sizes[2]
    assert classify(model, new, coverage=0.99)[0].labels_in_set is None  # 99 labels would be needed
    assert "cannot promise sets" in promise_of(model, coverage=0.99).sentences[1]
    assert classify(model, new, per_class=True)[0].labels_in_set is not None
    short = promise_of(model, coverage=0.98, per_class=True).sentences[1]
    assert "of the images of each class: that takes 49 held-out labels each, which band, line and stripe lack" in short


def test_few_labels_promise_nothing_and_say_so():
    data = stripes(9)
    model = fit(data, method="logistic", pretrained="none").model
    said = classify(model, list(data.images[:2]), coverage=0.95)
    assert all(p.unlike is None and p.labels_in_set is None for p in said)
    sentences = promise_of(model, coverage=0.95).sentences
    assert "that takes 19 held-out labels" in sentences[1] and "too few labelled images" in sentences[2]
    alone = fit(data.take([0, 1, 2, 3]), method="logistic", pretrained="none").model
    assert promise_of(alone).threshold is None and classify(alone, data.images[0])[0].answer is None


def test_a_model_of_an_earlier_version_answers_as_before_and_says_that_it_promises_nothing(kept, tmp_path):
    model, data, folder = kept
    old = Path(shutil.copytree(folder, tmp_path / "old"))
    config = json.loads((old / "config.json").read_text())
    del config["doubt"], config["sha256"]
    (old / "config.json").write_text(json.dumps({**config, "sha256": hash_of_json(config)}))
    found = classify(old, list(data.images[:3]))
    assert [p.label for p in found] == [p.label for p in classify(model, list(data.images[:3]))]
    assert all(p.answer is p.unsure is p.unlike is p.labels_in_set is None for p in found)
    assert promise_of(load_model(old)).sentences == (promises.OLD,)


CHANGES = {
    "labels of no class": lambda doubt, arrays: arrays.update({"doubt/held_out/labels": np.full(90, 7)}),
    "one label too few": lambda doubt, arrays: arrays.update({"doubt/held_out/labels": np.zeros(89, np.int64)}),
    "another number of classes": lambda doubt, arrays: arrays.update({"doubt/held_out/proba": np.ones((90, 2))}),
    "not a number": lambda doubt, arrays: arrays.update({"doubt/held_out/proba": np.full((90, 3), np.nan)}),
    "weights of other features": lambda doubt, arrays: arrays.update({"doubt/familiar/weights": np.ones((5, 3), "f4")}),
    "a temperature of zero": lambda doubt, arrays: doubt.update(temperature=0),
    "unknown features": lambda doubt, arrays: doubt["familiar"].update(features="os"),
    "a list": lambda doubt, arrays: doubt.update(familiar=[]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_does_not_fit_together_is_refused(kept, tmp_path, change):
    bad = Path(shutil.copytree(kept[2], tmp_path / "bad"))
    config, arrays = json.loads((bad / "config.json").read_text()), arrays_of((bad / "model.safetensors").read_bytes())
    change(config["doubt"], arrays)
    data = to_bytes(arrays)
    (bad / "model.safetensors").write_bytes(data)
    config["hashes"]["model.safetensors"] = sha256_of(data)
    del config["sha256"]
    (bad / "config.json").write_text(json.dumps({**config, "sha256": hash_of_json(config)}))
    with pytest.raises(FileFormatError, match="model-damaged|does not fit together"):
        load_model(bad)


# --- sparring classify -----------------------------------------------------------------------------------------------


@pytest.fixture
def inbox(kept, tmp_path, monkeypatch):
    """A folder with twelve striped images, two grey ones of one name in folders below, and a file that is no image."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(kept[2], "model")
    for folder in ("a", "b", "again"):
        Path("new", folder).mkdir(parents=True)
    for i, image in enumerate(stripes(12, seed=5).images):
        save_png(f"new/{i}.png", image)
    for place in ("a", "b"):
        save_png(f"new/{place}/grey.png", np.full((12, 10, 1), 90, np.uint8))
    (tmp_path / "new/note.png").write_text("no image")
    return tmp_path / "new"


def said(capsys, *words):
    code = main(["classify", "model", *map(str, words)])
    return code, *capsys.readouterr()


def there(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_table_says_what_an_answer_is_worth(inbox, capsys):
    code, out, err = said(capsys, "new")
    assert code == 0 and out.splitlines()[0].split() == ["image", "class", "confidence", "answer", "set"]
    assert sum(" sure " in line for line in out.splitlines()) >= 8 and out.count(" unlike ") == 2
    assert "- answers of at least" in err and "- sets of classes hold the true one in 90 %" in err
    code, out, _ = said(capsys, "new", "--json", "--unsure", "0.99")
    rows = [row for row in json.loads(out) if "error" not in row]
    assert all(row["unsure"] for row in rows) and {row["answer"] for row in rows} == {"unsure", "unlike"}
    assert all(row["class"] in row["set"] for row in rows)
    assert said(capsys, "new", "--unsure", "1.5")[0] == 2


def test_files_are_moved_by_the_answer_and_back(inbox, capsys):
    before = there(inbox)
    code, _, err = said(capsys, "new", "--move-into", "sorted")
    assert code == 0 and "14 files moved into sorted" in err
    now = there(inbox.parent / "sorted")
    lines = [json.loads(line) for line in now.pop("moved.jsonl").decode().splitlines()]
    assert sorted(now) == sorted(line["to"] for line in lines) and {"unlike/grey.png", "unlike/grey-2.png"} <= set(now)
    assert all(now[line["to"]] == before[str(Path(line["from"]).relative_to(inbox))] for line in lines)
    assert list(there(inbox)) == ["note.png"]
    assert said(capsys, "sorted", "--undo")[0] == 0
    assert there(inbox) == before and not (inbox.parent / "sorted").exists()
    assert "nothing-moved" in said(capsys, "new", "--undo")[2]


def test_nothing_is_overwritten_on_the_way(inbox, capsys):
    said(capsys, "new/0.png", "new/1.png", "--move-into", "sorted")
    other = inbox / "again" / "0.png"
    save_png(other, stripes(12, seed=5).images[0])
    assert said(capsys, other.parent, "--move-into", "sorted")[0] == 0  # into the same folder, beside the first
    assert len(there(inbox.parent / "sorted")) == 4
    save_png(inbox / "0.png", np.zeros((12, 10, 1), np.uint8))  # its old name is taken meanwhile
    said(capsys, "sorted", "--undo")
    left = there(inbox.parent / "sorted")
    assert len(left) == 2 and "moved.jsonl" in left and (inbox / "1.png").exists() and other.exists()
    (inbox / "0.png").unlink()
    said(capsys, "sorted", "--undo")
    assert (inbox / "0.png").exists() and not (inbox.parent / "sorted").exists()


def test_what_cannot_be_moved_is_refused_before_anything_is(kept, inbox, capsys):
    before = there(inbox)
    for words, problem in (
        (("new", "--move-into", "new/sorted"), "out-in-data"),
        (("new", "--move-into", "model"), "out-in-use"),
        (("new", "--html", "model/config.json"), "out-in-use"),
        (("new", "--html", "new/page.html"), "out-in-data"),
    ):
        code, _, err = said(capsys, *words)
        assert code == 2 and problem in err and there(inbox) == before
    with pytest.raises(UsageError, match="is no file, so it cannot be moved"):
        sorting.move_into("sorted", classify(kept[0], kept[1].images[0]))
    assert not Path("sorted").exists()


def test_the_page_shows_the_answers_in_groups(inbox, capsys):
    code, out, _ = said(capsys, "new", "--html", "page.html")
    page = Path("page.html").read_text()
    assert code == 0 and "Page: page.html" in out and page.count("<img") == 14
    assert page.index("Unlike all it learned from") < page.index(">stripe<") and "note.png" in page
    assert "answers of at least" in page.lower() and "<script" not in page and "http" not in page.split("<body>")[1]
    assert said(capsys, "new", "--html", "page.html")[0] == 2


# --- drift -----------------------------------------------------------------------------------------------------------


def test_the_discrepancy_is_that_of_the_formula_and_its_p_is_even_where_nothing_differs():
    """A loop over pairs, from Gretton et al. 2012, equation 3."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 3)), rng.normal(1, size=(9, 3))
    both = np.concatenate([a, b])
    squared = [((both[i] - both[j]) ** 2).sum() for i in range(16) for j in range(i + 1, 16)]
    k = lambda x, y: np.exp(-((x - y) ** 2).sum() / np.median(squared))  # noqa: E731
    inside = [sum(k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j) for x in (a, b)]
    expected = inside[0] / 42 + inside[1] / 72 - 2 * sum(k(x, y) for x in a for y in b) / 63
    found, p = discrepancy(a, b)
    assert found == pytest.approx(expected, abs=1e-9) and p < 0.1
    ps = [discrepancy(rng.normal(size=(20, 3)), rng.normal(size=(20, 3)))[1] for _ in range(40)]
    assert 0.3 < np.mean(ps) < 0.7 and np.mean(np.array(ps) <= 0.2) < 0.4
    assert discrepancy(a[:1], b) == (0.0, 1.0)


def test_new_images_of_the_same_kind_do_not_differ_and_darker_ones_do(kept, capsys, tmp_path, monkeypatch):
    model, data, folder = kept
    same = drift(model, stripes(60, seed=7))
    assert same.same and same.unlike.new <= 0.1 and "no difference" in same.verdict
    dark = replace(data, images=data.images // 2)
    found = drift(model, dark, name="stripes")
    assert not found.same and "brightness" in found.verdict and "stripes" in found.verdict
    brightness = next(s for s in found.properties if s.what == "brightness")
    assert brightness.new == pytest.approx(brightness.known / 2, abs=1.5) and brightness.p < 0.001
    one = drift(model, data.take(data.labels == 0))
    assert not one.same and max(s.new for s in one.classes) > 0.8 and one.classes[0].p < 0.001
    monkeypatch.chdir(tmp_path)
    np.savez("new.npz", images=dark.images)
    assert main(["data", "new.npz", "--against", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == drift(model, dark, name=str(folder)).verdict and told["images"] == 90
    assert main(["data", "new.npz", "--against", str(folder)]) == 0 and "brightness" in capsys.readouterr().out
    assert main(["data", "new.npz", "--against", str(folder), "--plan"]) == 2
    bare = LogisticClassifier().fit(data)
    with pytest.raises(UsageError, match="kept nothing that new images can be compared with"):
        drift(bare, data)
