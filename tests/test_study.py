"""Studies: the eight rules, rows that survive everything, a summary that any reader of the files gets too."""

import copy
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import arms
import numpy as np
import pytest
from arms import SMALL, Arm, stripes, table
from bad_inputs import class_folders
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from sparring import devices, files, stats
from sparring.classifiers import METHODS, Method
from sparring.classifiers.doubt.record import HeldOutAnswers
from sparring.classifiers.fit_record import FitRecord, Gate
from sparring.cli import main
from sparring.data import Notes
from sparring.errors import DataError, FileFormatError, MachineError, UsageError
from sparring.records import read_record, to_json
from sparring.study import Sealed, compare, summarise
from sparring.study.fits import WORK
from sparring.study.model import as_classes_of_model
from sparring.study.plan import Study, chosen_budgets, chosen_methods, seed_of, too_dear, usual_budgets
from sparring.study.prepared import split_and_seal
from sparring.study.records import FitNotes, FitRow, HeldOutPart, LabelBudget, StudyProgress, Trial
from sparring.study.summary import Summary

NEEDING = ["wants"]  # a method that a test adds to METHODS
QUICK = {"jobs": 0, "model": False, "labels": (3, 10), "repeats": 6}


def quick(out: Path, source=None, **settings):
    """A small study in this process."""
    return compare(source or stripes(), out, **{"methods": SMALL, **QUICK, **settings})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study that tests only read."""
    out = tmp_path_factory.mktemp("studies") / "done"
    return quick(out)


def method(name: str, family: str = "network", estimator: type = arms.OnDevice, **more) -> Method:
    """A row as of METHODS."""
    return Method(name, name, name, family, estimator, **more)  # pyright: ignore[reportArgumentType]


def rows_of(out: Path) -> list[dict]:
    """Rows without what no two runs share, in a fixed order."""
    changing = ("seconds", "cpu_seconds", "predict_seconds", "threads")
    rows = [{k: v for k, v in row.items() if k not in changing} for row in files.read_lines(out / "results.jsonl")]
    return sorted(rows, key=lambda r: (r["method"], r["budget"], r["repeat"]))


def truth_of(out: Path) -> np.ndarray:
    told = files.read_json(out / "study.json")
    return Sealed.read(out / "sealed.bin", told["fingerprint"]).opened(lambda: None)


# Rows and summary.


def test_a_study_fits_every_cell_once_and_says_who_is_better(done):
    rows = rows_of(done.folder)
    assert len(rows) == 3 * 2 * 6
    assert {row["status"] for row in rows} == {"ok"}
    assert done.recommended == "good"
    assert done.verdict.startswith("Use good (a test arm): about 9")
    pair = next(p for p in done.pairs if (p.budget, p.a, p.b) == ("10", "good", "poor"))
    assert pair.verdict == "better"
    assert "poor" in done.tie_groups[1].groups[-1]


def test_numbers_are_those_of_the_predictions(done):
    """Accuracy, balanced accuracy, confusion and recall again from the files, by sklearn."""
    out, summary = done.folder, done
    truth = truth_of(out)
    for score in summary.scores:
        mine = [r for r in rows_of(out) if (r["method"], r["budget"]) == (score.method, score.budget)]
        said = np.stack([np.load(out / row["predictions"])["proba"].argmax(1) for row in mine])
        np.testing.assert_allclose(score.accuracy.each, (said == truth).mean(1), atol=1e-6)
        assert score.accuracy.mean == pytest.approx((said == truth).mean(), abs=1e-6)
        balanced = [balanced_accuracy_score(truth, row) for row in said]
        np.testing.assert_allclose(score.balanced_accuracy.each, balanced, atol=1e-6)
        counts = next(c for c in summary.confusion if c.method == score.method and c.budget == score.budget)
        assert np.array_equal(counts.counts, sum(confusion_matrix(truth, row) for row in said))
        for k, name in enumerate("abc"):
            row = next(r for r in summary.per_class if (r.method, r.budget, r.class_) ==
                       (score.method, score.budget, name))  # fmt: skip
            assert row.recall == pytest.approx((said == truth)[:, truth == k].mean(), abs=1e-6)
            assert row.of == (truth == k).sum()
    for pair in summary.pairs:
        each = [np.array(s.accuracy.each) for name in (pair.a, pair.b) for s in summary.scores
                if s.method == name and s.budget == pair.budget]  # fmt: skip
        np.testing.assert_allclose(pair.difference.each, each[0] - each[1], atol=2e-6)
        assert pair.difference.mean >= 0


def test_the_summary_has_everything_that_its_readers_use(done):
    assert done == Summary.read(done.folder)
    assert to_json(done, kinds=False) == files.read_json(done.folder / "summary.json")
    assert done.budgets == (LabelBudget("3", 9), LabelBudget("10", 30))
    assert done.data.counts["test"] == {"a": 16, "b": 16, "c": 16}
    assert done.test == HeldOutPart(images=48, looks=1)
    for name in (done.data.contact_sheet, *(m.picture for m in done.mistakes)):
        assert (done.folder / name).read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_the_most_confident_ones(tmp_path):
    out = tmp_path / "study"
    summary = quick(out, stripes(noise=110.0), methods=table(Arm("poor", settings={"blur": 30.0})), labels=3)
    confidences = [m.confidence for m in summary.mistakes]
    assert len(confidences) > 2
    assert confidences == sorted(confidences, reverse=True)
    mean = np.mean([np.load(out / row["predictions"])["proba"] for row in rows_of(out)], 0)
    truth = truth_of(out)
    wrong = np.flatnonzero(mean.argmax(1) != truth)
    assert confidences[0] == pytest.approx(mean[wrong].max(), abs=1e-5)
    for mistake in summary.mistakes:
        assert mistake.true == mistake.origin[0] != mistake.said
        assert 1 <= mistake.wrong_in <= mistake.of == 6


def test_calibration_and_bins(done):
    for row in done.reliability:
        assert sum(b.count for b in row.bins) == pytest.approx(48)
    for score in done.scores:
        for name in ("ece", "nll", "brier"):
            mean, low, high = getattr(score, name)
            assert low <= mean <= high


def test_the_same_command_again_fits_nothing_and_says_the_same(done):
    before = (done.folder / "results.jsonl").read_bytes()
    events = []
    again = quick(done.folder, progress=events.append)
    assert (done.folder / "results.jsonl").read_bytes() == before
    assert replace(again, created=done.created) == done
    assert not [e for e in events if e.what == "fits"]


def test_summarise_needs_nothing_but_the_folder(done):
    again = summarise(done.folder)
    assert replace(again, created=done.created) == done


def test_a_study_grows_by_methods_budgets_and_repeats(tmp_path):
    out = tmp_path / "study"
    quick(out, methods=table(Arm("good")), labels=3, repeats=2)
    old = rows_of(out)
    summary = quick(out, methods=SMALL, labels=(3, "all"), repeats=3)
    assert len(rows_of(out)) == 3 * 2 * 3
    assert [r for r in rows_of(out) if (r["method"], r["budget"]) == ("good", "3") and r["repeat"] < 2] == old
    assert [b.budget for b in summary.budgets] == ["3", "all"]
    assert [m.name for m in summary.methods] == ["poor", "blurred", "good"]
    assert summary.repeats == 3
    subset = quick(out, methods=table(Arm("good")), labels=3, repeats=1)
    assert subset.repeats == 3
    assert len(subset.scores) == 6


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"seed": 1}, "was made with --seed 0, this command is with --seed 1. Fix: repeat it with --seed 0"),
        ({"test": 0.3}, "was made with --test 0.2, this command is with --test 0.3"),
        (
            {"pretrained": "none"},
            "was made with --pretrained efficientnet-lite0, this command is with --pretrained none. Fix: repeat it "
            "with --pretrained efficientnet-lite0",
        ),
        ({"source": stripes(243)}, "was made with other data: 240 images 8x8x1 in 3 classes then, 243 images"),
        ({"source": stripes(seed=1)}, "with other pixels, labels or parts"),
    ],
)
def test_other_settings_are_refused_and_change_nothing(done, settings, sentence):
    before = {p: p.read_bytes() for p in done.folder.rglob("*") if p.is_file()}
    with pytest.raises((UsageError, DataError), match="^error") as refused:
        quick(done.folder, **settings)
    assert sentence in str(refused.value)
    assert {p: p.read_bytes() for p in done.folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"methods": ["svn"]}, "unknown method 'svn', did you mean svm?"),
        ({"methods": []}, "no method to compare"),
        ({"labels": 0}, "0 labels a class. Fix: give a whole number from 1 up, or all"),
        ({"labels": (5, "many")}, "'many' labels a class"),
        ({"labels": (True,)}, "True labels a class"),
        ({"labels": ()}, "no number of labels"),
        ({"labels": 2.5}, "2.5"),
        (
            {"labels": "labels.csv"},
            "'labels.csv' labels a class. Fix: give a whole number from 1 up, or all (a file of labels is table=)",
        ),
        (
            {"budgets": 5},
            "compare has no budgets any more. Fix: write labels=5 for labels per class, table= for a file",
        ),
        ({"labels": 70}, "class 'a' has 64 labelled training images, 70 requested"),
        ({"repeats": 0}, "repeats is 0"),
        ({"repeats": 1.5}, "repeats is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"jobs": "many"}, "jobs is 'many'"),
        ({"minutes": 0}, "minutes is 0"),
        ({"test": 1.5}, "test is 1.5"),
        ({"pretrained": "efficientnet"}, "there is no encoder efficientnet, did you mean efficientnet-lite0?"),
        ({"methods": NEEDING, "pretrained": "none"}, "wants is nothing without a pretrained network"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(tmp_path, monkeypatch, settings, sentence):  # B51
    monkeypatch.setitem(METHODS, "wants", method("wants", needs_pretrained=True))
    with pytest.raises(UsageError) as refused:
        quick(tmp_path / "study", **settings)
    assert sentence in str(refused.value)
    assert not (tmp_path / "study").exists()


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match=r"not empty: it holds .*letter\.txt"):
        quick(tmp_path)


def test_what_fails_before_the_first_file_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Study, "save", lambda self, **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        quick(tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_two_studies_in_one_folder_at_once_are_refused(done):
    with files.locked(done.folder), pytest.raises(MachineError, match="is in use by process"):
        quick(done.folder)


# Failing fits.


def test_a_failed_fit_is_a_row_and_not_the_end(tmp_path):
    out, mark = tmp_path / "study", tmp_path / "mark"
    methods = table(Arm("good"), Arm("raises", estimator=arms.Raises), Arm("nan", estimator=arms.NotProbabilities))
    summary = quick(out, methods=methods, labels=3, repeats=2)
    failed = [row for row in rows_of(out) if row["status"] == "error"]
    assert len(failed) == 4
    assert failed[-1]["error"]["reason"] == "RuntimeError: the images are too stripy"
    assert failed[0]["error"]["reason"] == "ValueError: predict_proba gave numbers that are no probabilities"
    assert [(s.method, s.failed) for s in summary.scores] == [("good", 0)]
    assert [(s.method, s.failed) for s in summary.unmeasured] == [("nan", 2), ("raises", 2)]
    assert {e.method for e in summary.errors} == {"raises", "nan"}
    assert any("raises failed in 2 fits" in w for w in summary.recommendation.warnings)
    assert not mark.exists()


def test_failed_fits_are_tried_again_only_on_request(tmp_path, monkeypatch):
    out, mark = tmp_path / "study", tmp_path / "mark"
    monkeypatch.setenv("SPARRING_TEST_MARK", str(mark))
    settings = {"methods": table(Arm("good"), Arm("late", estimator=arms.RaisesOnce)), "labels": 3, "repeats": 2}
    quick(out, **settings)
    mark.touch()
    assert len(quick(out, **settings).errors) == 2
    summary = quick(out, **settings, retry=True)
    assert summary.errors == ()
    assert [s.n for s in summary.scores] == [2, 2]
    assert len(files.read_lines(out / "results.jsonl")) == 6  # the failures are still told


def test_a_study_in_which_everything_fails_says_so(tmp_path):
    summary = quick(tmp_path / "study", methods=table(Arm("raises", estimator=arms.Raises)), repeats=1)
    assert summary.verdict == "No fit succeeded: there is nothing to recommend"
    assert summary.recommended is None


def test_lost_or_damaged_predictions_are_fitted_again(tmp_path):
    out = tmp_path / "study"
    quick(out, methods=table(Arm("good")), labels=3, repeats=4)
    before = {p.name: p.read_bytes() for p in (out / "predictions").iterdir()}
    (out / "predictions" / "good-3-0.npz").unlink()
    (out / "predictions" / "good-3-1.npz").write_bytes(before["good-3-1.npz"][:-9])
    files.write_arrays(out / "predictions" / "good-3-2.npz", proba=np.full((48, 3), 1 / 3, np.float32))
    quick(out, methods=table(Arm("good")), labels=3, repeats=4)
    assert {p.name: p.read_bytes() for p in (out / "predictions").iterdir()} == before


# The eight rules.


@pytest.fixture
def noted(tmp_path):
    """What two methods are given in a study with some unlabelled images."""
    arms.Noted.seen.clear()
    methods = table(Arm("first", estimator=arms.Noted), Arm("second", family="gan", estimator=arms.Noted))
    source = stripes(unlabelled=60)
    quick(tmp_path / "study", source, methods=methods, repeats=2)
    return source, list(arms.Noted.seen), tmp_path / "study"


def test_rule_1_methods_never_get_a_test_image_or_label(noted):
    source, seen, out = noted
    prepared = split_and_seal(source, seed=0, test=0.2)
    test = {image.tobytes() for image in prepared.images[prepared.test]}
    assert len(test) == len(prepared.sealed)
    for given in seen:
        assert not test & {image.tobytes() for image in given["X"]}
        assert len(given["X"]) == len(source) - len(test)
    told = files.read_json(out / "study.json")
    assert not {"accuracy", "right"} & set(json.dumps(files.read_lines(out / "results.jsonl")).split('"'))
    assert len(told["looks"]) == 1


def test_rule_1_the_order_of_images_tells_nothing_about_their_classes(noted):
    """The source lists class after class; neither part does."""
    source, _, _ = noted
    prepared = split_and_seal(source, seed=0, test=0.2)
    truth = prepared.sealed.opened(lambda: None)
    assert (np.diff(truth) == 0).mean() < 0.6
    assert (np.diff(prepared.labels[prepared.labels >= 0]) == 0).mean() < 0.6


SNOOPING = {
    "index": lambda sealed: sealed[0],
    "iterate": list,
    "array": np.asarray,
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "compare": lambda sealed: sealed == np.zeros(5),
    "contains": lambda sealed: 1 in sealed,
    "buffer": lambda sealed: sealed.__buffer__(0),
    "tensor": lambda sealed: sealed.__dlpack__(),
    "state": lambda sealed: sealed.__getstate__(),
}


@pytest.mark.parametrize("how", SNOOPING)
def test_rule_1_sealed_labels_refuse_every_access(how):
    sealed = Sealed.of(np.array([0, 1, 2, 1, 0]), "key")
    with pytest.raises(UsageError, match="test labels are sealed"):
        SNOOPING[how](sealed)


def test_rule_1_a_seal_shows_its_length_and_nothing_else(tmp_path):
    labels = np.arange(1000) % 7
    sealed = Sealed.of(labels, "key")
    assert repr(sealed) == "<1000 sealed test labels>"
    assert len(sealed) == 1000
    sealed.write(tmp_path / "sealed.bin")
    raw = (tmp_path / "sealed.bin").read_bytes()
    assert labels.astype("<i8").tobytes()[:64] not in raw
    assert len(set(raw)) == 256  # no byte stands out
    looks = []
    np.testing.assert_array_equal(Sealed.read(tmp_path / "sealed.bin", "key").opened(lambda: looks.append(1)), labels)
    assert looks == [1]
    (tmp_path / "sealed.bin").write_bytes(raw[:-20] + raw[-19:])
    for key in ("key", "other"):
        with pytest.raises(FileFormatError, match="damaged or belongs to another study"):
            Sealed.read(tmp_path / "sealed.bin", key)


def test_rule_1_a_spy_in_a_process_finds_no_test_labels(tmp_path):
    """Neither in memory, nor in its callers, nor in a file; and a thief is a row with an error."""
    out = tmp_path / "study"
    source = stripes()
    methods = table(Arm("spy", estimator=arms.Spy), Arm("thief", estimator=arms.Thief))
    quick(out, source, methods=methods, labels=3, repeats=1, jobs=1)
    spied, stolen = sorted(rows_of(out), key=lambda row: row["method"])
    assert spied["status"] == "ok", spied["error"]
    record = spied["record"]
    assert record["held"] == record["frames"] == []
    assert set(record["files"]) == {f"{WORK}/train.npy", f"{WORK}/test.npy", "study.json", "sealed.bin"}
    truth = split_and_seal(source, seed=0, test=0.2).sealed.opened(lambda: None)
    held_out = {source.origins[i] for i in split_and_seal(source, seed=0, test=0.2).test.tolist()}
    assert not any(f'"{origin}"' in record["study"] for origin in held_out)  # "b/33.png" is a label too
    assert truth.tobytes().hex() not in record["seal"]
    assert stolen["status"] == "error"


def test_rule_1_looks_are_counted_before_they_happen(tmp_path, monkeypatch):
    out = tmp_path / "study"
    quick(out, methods=table(Arm("good")), repeats=1)
    assert summarise(out).test.looks == 1  # the same rows show nothing new
    summary = quick(out, methods=SMALL, repeats=1)
    assert summary.test.looks == 2
    assert any("opened 2 times" in w for w in summary.recommendation.warnings)
    monkeypatch.setattr(Sealed, "_plain", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        quick(out, methods=SMALL, repeats=2)
    monkeypatch.undo()
    monkeypatch.setattr(Study, "save", lambda self, **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        summarise(out)  # what cannot be counted is not opened


def test_rule_2_a_picture_in_both_parts_is_refused(tmp_path, monkeypatch):  # B28
    """Should the split ever fail, the study does not begin."""
    from sparring import data

    source = stripes()
    images = source.images.copy()
    images[100] = images[0]
    source = replace(source, images=images)
    good = data.split(source, seed=0, test=0.2)
    assert len({0, 100} & set(good.train.tolist())) in (0, 2)
    leaky = replace(good, train=np.setdiff1d(np.arange(240), [0, 7]), test=np.array([0, 7]))
    monkeypatch.setattr(data, "split", lambda *_, **__: leaky)
    with pytest.raises(DataError, match="in the test part shows what b/100.png in training shows"):
        quick(tmp_path / "study", source)
    assert not (tmp_path / "study").exists()


def test_rule_3_all_methods_see_the_same_labels_and_seed(noted):
    _, seen, _ = noted
    assert len(seen) == 8
    pairs = [[given for given in seen if given["seed"] == seed] for seed in {given["seed"] for given in seen}]
    assert [len(pair) for pair in pairs] == [2] * 4
    for one, other in pairs:
        np.testing.assert_array_equal(one["y"], other["y"])
    labels = {np.flatnonzero(given["y"] >= 0).tobytes() for given in seen}
    assert len(labels) == 4
    assert sorted((one["y"] >= 0).sum() for one, _ in pairs) == [9, 9, 30, 30]


def test_rule_3_rows_with_other_labels_are_not_compared(tmp_path):
    out = tmp_path / "study"
    quick(out, methods=table(Arm("good"), Arm("blurred")), labels=3, repeats=1)
    good, blurred = files.read_lines(out / "results.jsonl")
    for key, value in (("draw", "other"), ("seed", 5), ("labels", 10)):
        (out / "results.jsonl").write_text(json.dumps(good) + "\n" + json.dumps({**blurred, key: value}) + "\n")
        with pytest.raises(FileFormatError, match="blurred saw other labels than another method in repeat 0 at 3"):
            summarise(out)


def test_rule_3_other_numbers_of_steps_are_said(tmp_path):
    methods = table(Arm("cnn", family="network"), Arm("semi-gan", family="gan", estimator=arms.Painter))
    summary = quick(tmp_path / "study", methods=methods, labels=3, repeats=1)
    assert summary.notes == (
        "at 3 labels the networks did not take the same number of steps (cnn 10, semi-gan 20): the time ran out",
    )
    assert summary.notes[0] in summary.recommendation.warnings


def test_rule_3_a_pretrained_network_may_take_other_steps_than_one_from_scratch(tmp_path, monkeypatch):
    monkeypatch.setattr("sparring.study.fits.compute_features", lambda *_: 0.0)
    warm = method("warm", estimator=arms.SteppingPretrained, needs_pretrained=True)
    fast = Arm("fast", family="network", estimator=arms.Stepping, settings={"afford": 70})
    methods = {"warm": warm, **table(fast)}
    summary = quick(tmp_path / "study", methods=methods, labels=3, repeats=1, minutes=4, device="cpu")
    rows = Study.read(tmp_path / "study").rows().values()
    assert {row.method: row.notes.steps for row in rows} == {"warm": 5, "fast": 70}
    assert not any("same number of steps" in note for note in summary.notes)


def test_rule_4_a_fit_sees_no_more_labels_than_its_budget(noted):
    """So what it validates on is part of them; and it is asked once, when it is done."""
    _, seen, _ = noted
    for given in seen:
        counts = np.bincount(given["y"][given["y"] >= 0], minlength=3)
        assert len(set(counts.tolist())) == 1
        assert counts[0] in (3, 10)


def test_rule_5_three_repeats_are_not_enough(tmp_path):
    summary = quick(tmp_path / "study", repeats=3)
    assert {p.verdict for p in summary.pairs} == {"not enough evidence"}
    assert all("cannot be significant with n = 3" in p.sentence for p in summary.pairs)
    assert "no difference can be called real" in summary.recommendation.sentence
    assert summary.recommendation.warnings[0].startswith("no difference can be significant with n = 3")


def test_rule_6_the_risk_of_the_study_is_shared_by_its_budgets(done):
    """Holm over every pair at a budget: four fifths of the risk for the largest budget, one fifth for the other."""
    assert len(done.pairs) == 6
    for budget, share in zip((b.budget for b in done.budgets), (0.2, 0.8), strict=True):
        pairs = [pair for pair in done.pairs if pair.budget == budget]
        expected = np.minimum(1, np.array(stats.holm([p.p for p in pairs])) / share)
        np.testing.assert_allclose([p.p_holm for p in pairs], expected, atol=1e-5)


def test_rule_7_generated_images_are_refused(tmp_path):
    source = stripes()
    notes = Notes(generated=("a/3.png", "b/100.png"))
    with pytest.raises(DataError, match="2 images of stripes were made by a network") as refused:
        quick(tmp_path / "study", replace(source, notes=notes))
    assert "gan-augment makes its own" in str(refused.value)
    assert not (tmp_path / "study").exists()


def test_rule_7_images_that_sparring_made_are_known_when_they_are_read(tmp_path):
    """A folder with some images drawn from a generator among the real ones."""
    from sparring.images import save_png

    source = stripes(60)
    for i, image in enumerate(source.images):
        folder = files.make_folder(tmp_path / "photos" / source.origins[i][0])
        save_png(folder / f"{i}.png", image, generated=i == 33)
    with pytest.raises(DataError, match=r"1 images of photos were made by a network \(b/33.png\)"):
        quick(tmp_path / "study", tmp_path / "photos")
    (tmp_path / "photos" / "b" / "33.png").unlink()
    assert quick(tmp_path / "study", tmp_path / "photos", repeats=1, labels=3).scores


def test_rule_7_the_gate_and_the_generated_images_are_shown(tmp_path):
    out = tmp_path / "study"
    methods = table(Arm("cnn", family="network"), Arm("gan-augment", family="gan", estimator=arms.Painter))
    summary = quick(out, methods=methods, labels=3, repeats=2)
    assert [g.repeat for g in summary.gates] == [0, 1]
    assert summary.gates[0].sentence == "no"
    (game,) = summary.games
    assert game.curves == {"loss": ((10, 1.0), (20, None))}
    from sparring.images import is_generated

    assert is_generated(out / game.generated)
    assert not is_generated(out / game.real)
    assert [a.what for a in summary.ablations] == ["generated images"]


def test_rule_8_a_row_keeps_all_that_its_numbers_came_from(done):
    for line in files.read_lines(done.folder / "results.jsonl"):
        row = read_record(FitRow, line)
        assert None not in [getattr(row, name) for name in (*NEEDED, *NEEDED_WHEN_OK) if name != "minutes"]
        assert row.versions["sparring"]
        assert row.hardware.cores >= 1
        assert row.seed == seed_of(0, row.budget, row.repeat)
        proba = np.load(done.folder / row.predictions)["proba"]
        assert proba.dtype == np.float32
        np.testing.assert_allclose(proba.sum(1), 1, atol=1e-5)


NEEDED = ("method", "budget", "repeat", "status", "labels", "seed", "seconds", "threads", "minutes", "versions",
          "hardware", "record", "draw")  # fmt: skip
NEEDED_WHEN_OK = ("cpu_seconds", "predict_seconds", "predictions", "digest", "pictures")


@pytest.mark.parametrize("name", [*NEEDED, "error", *NEEDED_WHEN_OK])
def test_rule_8_a_row_that_lacks_something_cannot_be_made_or_read(done, name):
    line = files.read_lines(done.folder / "results.jsonl")[0]
    with pytest.raises(FileFormatError, match=f"lacks the field '{name}'" if name not in NEEDED_WHEN_OK else "lacks"):
        read_record(FitRow, {k: v for k, v in line.items() if k != name})
    row = read_record(FitRow, line)
    if name in NEEDED_WHEN_OK:
        with pytest.raises(ValueError, match="the row of good-3-0 lacks something"):
            replace(row, **{name: None})


# The device and the pretrained network.

GPU = "Imagined H100"


@pytest.fixture
def gpu(monkeypatch):
    """A machine that has a GPU, as far as a study asks."""
    here = devices.device_name("cpu")
    named = lambda device: GPU if device == "cuda" else here  # noqa: E731
    monkeypatch.setattr("sparring.study.plan.choose_device", lambda device: "cuda" if device == "auto" else device)
    monkeypatch.setattr("sparring.study.job.device_name", named)
    monkeypatch.setattr(devices, "device_name", named)
    monkeypatch.setattr("sparring.study.fits.compute_features", lambda *_: 1.5)
    devices.hardware.cache_clear()
    arms.OnDevice.told.clear()
    yield
    devices.hardware.cache_clear()


def test_on_a_gpu_what_can_use_it_comes_last_and_alone_and_rows_name_it(tmp_path, gpu):
    methods = {"net": method("net"), **table(Arm("good"))}
    out, events = tmp_path / "study", []
    summary = quick(out, methods=methods, labels=3, repeats=2, progress=events.append)
    rows = files.read_lines(out / "results.jsonl")
    assert [(row["method"], row["hardware"]["device"]) for row in rows] == [
        ("good", devices.device_name("cpu")), ("good", devices.device_name("cpu")), ("net", GPU), ("net", GPU),
    ]  # fmt: skip
    assert arms.OnDevice.told == [("cuda", "efficientnet-lite0", devices.cores())] * 2
    settings = files.read_json(out / "study.json")["settings"]
    assert (settings["device"], settings["pretrained"]) == (GPU, "efficientnet-lite0")
    assert summary.machine.device == GPU and summary.machine.on_gpu
    assert summary.features_seconds == 1.5
    assert any("2 of them on the GPU in turn" in event.message for event in events)


def test_a_study_does_not_mix_devices(tmp_path, gpu):
    methods = {"net": method("net")}
    quick(tmp_path / "cpu", methods=methods, labels=3, repeats=1, device="cpu")
    quick(tmp_path / "cpu", methods=methods, labels=3, repeats=2)  # auto goes on as the study began
    assert {told[0] for told in arms.OnDevice.told} == {"cpu"}
    there = rf"was made on the CPU \(--device cpu\), this command is on {GPU} \(--device cuda\). Fix: repeat it on the"
    with pytest.raises(UsageError, match=there):
        quick(tmp_path / "cpu", methods=methods, labels=3, repeats=3, device="cuda")
    quick(tmp_path / "gpu", methods=methods, labels=3, repeats=1)
    with pytest.raises(UsageError, match=rf"was made on {GPU} \(--device cuda\), this command is on the CPU"):
        quick(tmp_path / "gpu", methods=methods, labels=3, repeats=2, device="cpu")


def test_rows_of_several_devices_are_not_compared(tmp_path, gpu):
    out = tmp_path / "study"
    quick(out, methods={"net": method("net")}, labels=3, repeats=2)
    lines = files.read_lines(out / "results.jsonl")
    lines[1]["hardware"]["device"] = lines[1]["hardware"]["cpu"]
    (out / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(FileFormatError, match=f"net ran on {GPU} and, in repeat 1 at 3, on "):
        summarise(out)


def test_features_are_computed_once_before_the_fits_and_only_where_they_may_be_used(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sparring.study.fits.compute_features", lambda *given: asked.append(given) or 2.0)
    out, methods = tmp_path / "study", {"net": method("net"), **table(Arm("good"))}
    summary = quick(out, methods=methods, labels=(3, 10), repeats=2, device="cpu")
    ((paths, pretrained, device, threads),) = asked
    assert [path.name for path in paths] == ["train.npy", "test.npy"]
    assert (pretrained, device, threads) == ("efficientnet-lite0", "cpu", devices.cores())
    assert summary.features_seconds == 2.0
    quick(out, methods=methods, labels=(3, 10), repeats=2)  # nothing is missing
    quick(tmp_path / "none", methods=methods, labels=3, repeats=1, pretrained="none")
    quick(tmp_path / "own", methods=table(Arm("good")), labels=3, repeats=1)
    assert len(asked) == 1
    assert arms.OnDevice.told[-1][:2] == ("cpu", "none")


def test_features_that_a_study_computes_are_found_by_its_fits(tmp_path, monkeypatch):
    from sparring.features.pretrained import imagenet
    from sparring.study.worker import compute_features

    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 1), np.uint8)
    np.save(tmp_path / "train.npy", images)
    assert compute_features([tmp_path / "train.npy"], "efficientnet-lite0", "cpu", 1) > 0
    extractor = replace(imagenet(device="cpu"), compute=lambda images: 1 / 0)
    assert extractor.features(images).shape == (3, 1776)


def test_without_a_pretrained_network_methods_that_need_one_are_left_out(monkeypatch):
    monkeypatch.setitem(METHODS, "wants", method("wants", needs_pretrained=True))
    assert "wants" in chosen_methods(None, "efficientnet-lite0")
    assert "wants" not in chosen_methods(None, "none")
    assert not any(row.needs_pretrained for row in chosen_methods(None, "none").values())


def test_no_pretrained_network_is_trained_on_tiny_images_unless_it_is_named():
    methods = {"dear": method("dear", needs_pretrained=True), "net": method("net"),
               "cheap": method("cheap", "pretrained", needs_pretrained=True)}  # fmt: skip
    assert too_dear(methods, (8, 8)) == too_dear(methods, (15, 300)) == ["dear"]
    assert too_dear(methods, (16, 300)) == []


def test_what_is_left_out_of_tiny_images_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("sparring.study.fits.compute_features", lambda *_: 0.0)
    table_of_two = {"dear": method("dear", needs_pretrained=True), "net": method("net")}
    choose = lambda methods, _: table_of_two  # noqa: E731
    monkeypatch.setattr("sparring.study.job.chosen_methods", choose)
    events = []
    settings = {"labels": 3, "repeats": 1, "device": "cpu", "progress": events.append}
    assert [m.name for m in quick(tmp_path / "all", methods=None, **settings).methods] == ["net"]
    assert any("dear is left out: images are smaller than 16 pixels" in event.message for event in events)
    assert [m.name for m in quick(tmp_path / "named", methods=["dear"], **settings).methods] == ["dear", "net"]


def test_the_ablation_is_that_of_the_trunk(tmp_path, monkeypatch):
    """Fits that say that they started from the pretrained trunk are compared with finetune, not with cnn."""
    monkeypatch.setattr("sparring.study.fits.compute_features", lambda *_: 0.0)
    methods = {name: method(name) for name in ("finetune", "consistency")}
    methods["cnn"] = method("cnn", estimator=arms.Estimator)
    summary = quick(tmp_path / "study", methods=methods, labels=3, repeats=1, device="cpu")
    assert [(a.kind, a.a, a.b) for a in summary.ablations] == [
        ("pretraining", "finetune", "cnn"), ("unlabelled", "consistency", "finetune"),
    ]  # fmt: skip
    assert summary.score("consistency", "3").pretrained == "efficientnet-lite0: trunk"
    assert summary.score("cnn", "3").pretrained is None and summary.unclean == ()


def test_studies_from_before_devices_say_cpu_and_none(tmp_path, done):

    out = tmp_path / "study"
    shutil.copytree(done.folder, out)
    told = files.read_json(out / "study.json")
    del told["settings"]["device"], told["settings"]["pretrained"], told["features_seconds"]
    files.write_json(out / "study.json", told)
    lines = files.read_lines(out / "results.jsonl")
    for line in lines:
        line["hardware"]["device"] = "cpu"
    (out / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = files.read_json(out / "summary.json")
    for name in ("unclean", "pretrained", "features_seconds"):
        del summary[name]
    files.write_json(out / "summary.json", summary)
    assert Summary.read(out).scores == done.scores
    settings = Study.read(out).definition.settings
    assert (settings.device, settings.pretrained) == ("cpu", "none")
    assert summarise(out).scores == done.scores
    with pytest.raises(UsageError, match="was made with --pretrained none"):
        quick(out)
    assert quick(out, pretrained="none").scores == done.scores


@pytest.mark.gpu
def test_on_the_gpu_of_this_machine(tmp_path):
    """Networks ran there, in bf16, and the rows name it."""
    import torch

    source, methods = stripes(images=120), ["logistic", "cnn"]
    summary = quick(tmp_path / "s", source, methods=methods, labels=3, repeats=1, device="cuda", jobs=2, model=True)
    rows = {row["method"]: row for row in rows_of(tmp_path / "s")}
    assert {row["status"] for row in rows.values()} == {"ok"}
    name = torch.cuda.get_device_name()
    assert rows["cnn"]["hardware"]["device"] == name == summary.machine.device
    assert rows["logistic"]["hardware"]["device"] != name
    assert rows["cnn"]["record"]["precision"] == "bf16"
    with pytest.raises(UsageError, match="was made on"):
        quick(tmp_path / "s", source, methods=methods, labels=3, repeats=1, device="cpu")


# Files.


def test_a_misspelt_field_of_a_summary_is_refused(done):
    data = files.read_json(done.folder / "summary.json")
    data["scores"][2]["acuracy"] = data["scores"][2].pop("accuracy")
    with pytest.raises(FileFormatError, match=r"scores\[2\]: ArmScore has no field 'acuracy', did you mean accuracy\?"):
        read_record(Summary, data, name="summary.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.pop("verdict"), "Summary lacks the field 'verdict'"),
        (lambda d: d["scores"][0]["accuracy"].update(mean="x"), r"scores\[0\].accuracy.mean: 'x' is not a number"),
        (lambda d: d["scores"][0].update(n=True), r"scores\[0\].n: True is not a whole number"),
        (lambda d: d["pairs"][1].update(verdict="great"), r"pairs\[1\].verdict: 'great' is not better or worse"),
        (lambda d: d.update(budgets={}), r"budgets: \{\} is not a list"),
        (lambda d: d["data"].update(counts=[]), r"data.counts: \[\] is not an object"),
        (lambda d: d["data"]["counts"]["test"].update(a=None), r"data.counts\['test'\]\['a'\]: None is not a whole"),
        (lambda d: d["machine"].update(memory_gib="much"), "machine.memory_gib: 'much' is not"),
    ],
)  # fmt: skip
def test_a_summary_with_a_wrong_value_is_refused(done, change, sentence):
    data = files.read_json(done.folder / "summary.json")
    change(data)
    with pytest.raises(FileFormatError, match=sentence):
        read_record(Summary, data, name="summary.json")


def test_a_study_of_the_first_format_goes_on_and_fits_nothing_again(tmp_path, done):
    """Its rows are read as they are; its summary is refused by a sentence that says what to do."""

    out = tmp_path / "study"
    shutil.copytree(done.folder, out)
    told, lines = files.read_json(out / "study.json"), files.read_lines(out / "results.jsonl")
    told |= {"format": 1, "load": {"size": None, "unlabelled": None, "labels": None}}
    del told["steps"], told["model"]
    files.write_json(out / "study.json", told)
    summary = files.read_json(out / "summary.json")
    summary |= {"format": 1, "command": "sparring compare photos"}
    files.write_json(out / "summary.json", summary)
    with pytest.raises(
        FileFormatError, match="has format 1, this version reads 2. Fix: repeat `sparring compare photos`"
    ):
        Summary.read(out)
    events = []
    assert replace(quick(out, progress=events.append), created=done.created, machine=done.machine) == done
    assert files.read_lines(out / "results.jsonl") == lines
    assert not [e for e in events if e.what == "fits"]
    files.write_json(out / "study.json", {**told, "jobs": {}})
    assert Study.read(out).definition.jobs is None
    files.write_json(out / "study.json", {**told, "format": 3})
    with pytest.raises(FileFormatError, match="has format 3, this version reads 1 and 2"):
        Study.read(out)


def test_a_comparison_turned_round_says_the_same(done):
    for pair in done.pairs:
        other = pair.reversed()
        assert (other.a, other.b, other.difference.mean) == (pair.b, pair.a, -pair.difference.mean)
        assert (other.difference.low, other.difference.high) == (-pair.difference.high, -pair.difference.low)
        assert done.comparison(pair.b, pair.a, pair.budget) == other
        assert other.reversed() == replace(pair, sentence="")
    assert {pair.verdict for pair in done.pairs} >= {"better"}
    assert {pair.reversed().verdict for pair in done.pairs if pair.verdict == "better"} == {"worse"}


def test_a_summary_shows_itself(done):
    rows = done.table("10")
    assert [row[0] for row in rows] == [score.method for score in done.ranked("10")]
    assert rows[0][1].endswith(" %") and rows[0][3] == "A"
    html = replace(done, verdict="<b>")._repr_html_()
    assert html.startswith("<p><b>&lt;b&gt;</b></p>") and html.count("<table>") == 2 and html.count("<tr>") == 8
    assert repr(done) == f"<Summary of {done.folder}: {done.verdict}>"
    assert done.report == done.folder / "report.html"
    assert all(path.exists() for path in done.mistake_pictures)


def test_the_gate_of_gan_augment_is_what_a_summary_reads():
    from sparring.classifiers.gate import DUPLICATES, NOTHING, Extra, gate_of

    y, ones = np.arange(40) % 2, np.ones(40)
    new = gate_of({NOTHING: y * 0.0, DUPLICATES: y * 0.0, Extra("generated", 0.5): ones}, y, 0.5)
    for gate in (Gate(False, None, None, None, None, None, "too few"), new):
        assert FitNotes.of({**FitRecord(gate=gate).to_json(), "curves": "none", "steps": "many"}).gate == gate
    assert FitNotes.of({"curves": [1], "steps": "many", "gate": {"passed": 1}}) == FitNotes()
    old = {"passed": False, "without": 0.9, "with": 0.8, "difference": -0.1, "low": -0.2, "high": 0.0, "sentence": "no"}
    assert FitNotes.of({"gate": old}).gate == Gate(False, 0.9, 0.8, -0.1, -0.2, 0.0, "no")


def test_the_records_of_a_study_load_nothing_heavy():
    code = "import sys, sparring.study.summary; print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# The model.


def test_the_recommended_method_is_fitted_on_all_labels_and_saved(tmp_path):
    from sparring.classifiers import load_model

    out, source, events = tmp_path / "study", stripes(images=200, unlabelled=20), []
    settings = {"methods": ["majority", "logistic"], "labels": 3, "repeats": 2, "model": True}
    summary = quick(out, source, **settings)
    assert summary.recommendation.model == "model"
    model = load_model(out / "model")
    assert model.class_names_ == ["a", "b", "c"]
    assert model.record_.labels == 180
    known = source.labels >= 0
    assert (model.predict(source.images)[known] == np.array(source.classes)[source.labels[known]]).mean() > 0.9
    card = (out / "model" / "README.md").read_text()
    assert "those of its test part included" in card
    assert "the model itself was not tested" in card
    assert source.fingerprint in (out / "model" / "config.json").read_text()
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (out / "model").iterdir()}
    again = quick(out, source, **settings, progress=events.append)
    assert again.recommendation == summary.recommendation
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (out / "model").iterdir()} == before
    assert "model" not in [event.what for event in events]
    shutil.rmtree(out / "model")
    quick(out, source, **settings)
    weights = out / "model" / "model.safetensors"
    assert weights.read_bytes() == before[weights][0]


@pytest.mark.parametrize(("enough", "how"), [(10, "study"), (100, "folds")])
def test_the_saved_model_is_measured_on_what_its_method_said_of_the_test_part(tmp_path, monkeypatch, enough, how):
    from sparring.classifiers import load_model

    monkeypatch.setattr("sparring.study.model.ENOUGH", enough)
    out, source = tmp_path / "study", stripes(images=200, unlabelled=20)
    quick(out, source, methods=["logistic"], labels=["3", "5"], repeats=2, model=True)
    held, study = load_model(out / "model").doubt_.held_out, Study.read(out)
    assert held.how == how and len(held.labels) == (len(study.definition.test.hashes) if how == "study" else 180)
    if how == "study":
        row = study.rows()[Trial("logistic", "5", 0)]
        np.testing.assert_array_equal(held.proba.argmax(1), study.proba(row).argmax(1))
        assert (held.proba.argmax(1) == held.labels).mean() > 0.8  # of the images in the order of the probabilities


def test_answers_follow_the_order_of_a_models_classes():
    proba = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    found = as_classes_of_model(HeldOutAnswers(proba, np.array([0, 2])), ("a", "b", "c"), ["c", "a", "b"])
    np.testing.assert_array_equal(found.proba, [[0.1, 0.7, 0.2], [0.6, 0.1, 0.3]])
    assert found.labels.tolist() == [1, 0]


def test_another_recommendation_is_another_model(tmp_path):
    from sparring.classifiers import load_model

    out = tmp_path / "study"
    quick(out, methods=["majority"], labels=3, repeats=2, model=True)
    assert type(load_model(out / "model")).__name__ == "MajorityClassifier"
    quick(out, methods=["logistic"], labels=3, repeats=2, model=False)
    assert summarise(out).recommendation.model is None  # the old one is not the recommended one
    summary = quick(out, methods=["majority"], labels=3, repeats=2, model=True)
    assert summary.recommended == "logistic"  # though this command did not name it
    assert type(load_model(out / "model")).__name__ != "MajorityClassifier"


def test_a_model_that_cannot_be_saved_is_a_warning(tmp_path):
    summary = quick(tmp_path / "study", methods=table(Arm("good")), labels=3, repeats=1, model=True)
    assert summary.recommendation.model is None
    assert any(w.startswith("good could not be saved as a model") for w in summary.recommendation.warnings)
    assert not (tmp_path / "study" / "model").exists()
    assert summary == Summary.read(tmp_path / "study")


# Order, seeds, time.


def test_seeds_are_a_function_of_seed_budget_and_repeat():
    seeds = {seed_of(s, b, r) for s in range(3) for b in ("3", "10", "all") for r in range(6)}
    assert len(seeds) == 54
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_budgets_are_put_in_order():
    assert chosen_budgets(["all", 20, "5", 20, np.int64(100)]) == ("5", "20", "100", "all")
    assert chosen_budgets("7") == ("7",)


def test_the_usual_budgets_are_those_that_every_class_has():
    labels = np.repeat([0, 1, 2], [30, 21, 40])
    assert usual_budgets(labels) == ("5", "20", "all")
    assert usual_budgets(np.where(labels == 1, -1, labels)) == ("5", "20", "all")  # a class without labels is none
    assert usual_budgets(np.repeat([0, 1], [20, 40])) == ("5", "all")
    assert usual_budgets(np.array([0, 0, 0, 1, 1, 1, -1])) == ("all",)


def test_without_labels_a_study_takes_what_there_is(tmp_path):
    few = stripes(24)
    assert [b.budget for b in quick(tmp_path / "few", few, labels=None, repeats=1).budgets] == ["5", "all"]
    assert [
        b.budget for b in quick(tmp_path / "fewer", few.take(np.arange(0, 24, 2)), labels=None, repeats=1).budgets
    ] == ["all"]


def test_progress_tells_how_far_and_how_long(tmp_path):
    events = []
    quick(tmp_path / "study", progress=events.append)
    fits = [e for e in events if e.what == "fits"]
    assert events[0] == StudyProgress("data", message="reading the images")
    assert [e.finished.method for e in fits if e.finished].count("good") == 12
    assert [e.what for e in events][-1] == "done"
    assert fits[-1].done == fits[-1].total == 36
    assert fits[-1].seconds_left == 0
    assert all(e.seconds_left > 0 for e in fits[:-1])
    assert fits[1].running == ("good-3-0",)


# Processes.


def test_processes_give_the_same_rows_as_none(tmp_path, done):
    out = tmp_path / "study"
    summary = quick(out, jobs=2)
    assert rows_of(out) == rows_of(done.folder)
    assert summary.scores[0].accuracy == done.scores[0].accuracy
    assert not list(out.glob(".tmp-*"))


def test_a_process_that_dies_takes_only_its_own_fit_with_it(tmp_path):  # R14
    out = tmp_path / "study"
    methods = table(Arm("good", settings={"seconds": 0.2}), Arm("dies", estimator=arms.Dies))
    quick(out, methods=methods, labels=3, repeats=1, jobs=2)
    assert [(r["method"], r["status"]) for r in rows_of(out)] == [("dies", "error"), ("good", "ok")]
    assert "was killed" in rows_of(out)[0]["error"]["reason"]


STUDY = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from arms import Arm, stripes, table
from sparring.study import compare
out, jobs, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
slow = {{"seconds": seconds, "blur": 30.0}}
methods = table(Arm("a", settings={{"seconds": seconds}}), Arm("b", family="gan", settings=slow))
compare(stripes(), out, methods=methods, labels=(3, 10), repeats=6, jobs=jobs, model=False)
print("done")
"""  # fmt: skip


def command(out: Path, jobs: int, seconds: float = 0.03) -> list[str]:
    """24 fits of so many seconds each."""
    return [sys.executable, "-c", STUDY, str(out), str(jobs), str(seconds)]


def everything(out: Path) -> dict:
    """All that a study is, but for times."""
    summary = files.read_json(out / "summary.json")
    kept = {k: summary[k] for k in ("pairs", "tie_groups", "per_class", "confusion", "test")}
    return {"rows": rows_of(out), "summary": kept} | {p.name: p.read_bytes() for p in (out / "predictions").iterdir()}


@pytest.mark.parametrize(
    ("jobs", "most"),
    [pytest.param(0, 3, id="here"), pytest.param(2, 2, id="processes"),
     pytest.param(2, 25, id="processes, often", marks=pytest.mark.slow)],
)  # fmt: skip
def test_kill_at_any_moment_and_again_gives_the_same_study(tmp_path, jobs, most):
    """kill -9, then the same command: rows and predictions bit-equal to an uninterrupted study."""
    clean, killed = tmp_path / "clean", tmp_path / "killed"
    subprocess.run(command(clean, jobs), check=True, capture_output=True)
    random, counts, step = np.random.default_rng(jobs), [0], 24 / (most + 1)
    for _ in range(most):
        with subprocess.Popen(command(killed, jobs), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            wanted = counts[-1] + round(float(random.uniform(0, 2 * step)))
            while process.poll() is None:
                if (killed / "study.json").exists() and len(files.read_lines(killed / "results.jsonl")) >= wanted:
                    time.sleep(float(random.uniform(0, 0.06)))
                    process.kill()
                    break
                time.sleep(0.002)
            if process.wait() == 0:
                break
        counts.append(len(files.read_lines(killed / "results.jsonl")))
    assert len(counts) > 2, "hardly ever killed"
    assert counts == sorted(counts)
    subprocess.run(command(killed, jobs), check=True, capture_output=True)
    assert everything(killed) == everything(clean)
    assert not list(killed.rglob(".tmp-*"))
    assert len(files.read_lines(killed / "results.jsonl")) == 24


def test_ctrl_c_saves_and_leaves_no_process(tmp_path):
    """SIGINT to the whole group, as a terminal sends it."""
    out = tmp_path / "study"
    with subprocess.Popen(
        command(out, 2, 1.0), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while len(files.read_lines(out / "results.jsonl")) < 3:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        ended, errors = process.wait(20), process.stderr.read().decode()
    assert ended != 0, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1
    until = time.monotonic() + 10
    while alive(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(process.pid)
    assert len(files.read_lines(out / "results.jsonl")) >= 3
    assert not list(out.glob(".tmp-*"))


def test_processes_end_when_their_parent_is_killed(tmp_path):  # R13
    with subprocess.Popen(command(tmp_path / "s", 2, 0.4), stdout=subprocess.PIPE, start_new_session=True) as process:
        while len(files.read_lines(tmp_path / "s" / "results.jsonl")) < 1:
            time.sleep(0.01)
        process.kill()
        process.wait()
        until = time.monotonic() + 10
        while alive(process.pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert not alive(process.pid)


def alive(group: int) -> list[int]:
    """Processes of a process group that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def test_a_full_disk_is_said_plainly_and_the_rows_stay(tmp_path):
    """The kernel refuses files beyond 12.6 kB: the study ends with one sentence, and goes on where it was."""
    out = tmp_path / "study"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (12_600, resource.RLIM_INFINITY))\n"
    code = STUDY.replace("compare(stripes", limit + "compare(stripes")
    found = subprocess.run(
        [*command(out, 0)[:2], code, *command(out, 0)[3:]], capture_output=True, text=True, check=False
    )
    assert found.stderr.splitlines()[-1].startswith("sparring.errors.MachineError: error[file-limit]: cannot write ")
    assert 0 < len(files.read_lines(out / "results.jsonl")) < 24
    assert not list(out.rglob(".tmp-*"))
    subprocess.run(command(out, 0), check=True, capture_output=True)
    assert len(rows_of(out)) == 24


def test_progress_never_goes_back_by_more_than_a_fifth(tmp_path):
    """Nobody knows how long a slow method takes before it was tried, so until then it may take all the time."""
    methods = table(
        Arm("poor", settings={"blur": 30.0, "seconds": 0.05}),
        Arm("slow", family="network", estimator=arms.Tells, settings={"seconds": 0.4}),
    )
    said = []
    quick(tmp_path / "study", methods=methods, labels=[3, 10], minutes=0.1, progress=said.append)
    shares = [p.share for p in said if p.share is not None]
    assert len(shares) > 20 and shares[-1] > 0.8
    assert max(before - after for before, after in zip(shares, shares[1:], strict=False)) < 0.2


def test_methods_that_need_no_pretrained_network_come_before_its_features(tmp_path, monkeypatch):
    """Features of many images take minutes, and a first answer need not wait for them."""
    told = []
    looks = method("looks", "traditional", arms.Estimator, needs_pretrained=False)
    monkeypatch.setattr("sparring.study.fits.looks_through", lambda m: m.name == "looks")
    monkeypatch.setattr("sparring.study.fits.compute_features", lambda *_: told.append("features") or 1.0)

    def said(progress):
        if progress.finished:
            told.append(progress.finished.method)

    methods = {**table(Arm("poor", settings={"blur": 30.0})), "looks": looks}
    quick(tmp_path / "study", methods=methods, labels=3, repeats=2, pretrained="efficientnet-lite0", progress=said)
    assert told[:3] == ["poor", "features", "looks"] and sorted(told[3:]) == ["looks", "poor"]


def test_a_fit_that_takes_far_longer_than_thought_does_not_hold_up_the_study(tmp_path):
    """It is ended, leaves no row, and is named; a method that was made is recommended all the same."""
    slow = Arm("slow", family="network", estimator=arms.Dawdles)
    methods = table(Arm("poor", settings={"blur": 30.0}), slow)
    said, start = [], time.monotonic()
    summary = quick(
        tmp_path / "study", methods=methods, labels=3, minutes=0.15, jobs=1, progress=lambda p: said.append(p.message)
    )
    assert time.monotonic() - start < 30
    assert {row["method"] for row in rows_of(summary.folder)} == {"poor"}
    arm = next(arm for arm in summary.short if arm.method == "slow")
    assert arm.repeats == 0 and 1 < arm.seconds < 20
    assert any("slow took longer than thought" in text for text in said)
    assert summary.recommended == "poor"


def test_what_is_handed_on_does_not_say_whose_home_it_comes_from(tmp_path, monkeypatch, capsys):  # S57, S58
    """Commands stay such as can be typed again: the home folder is ~ in a shell, too."""
    home = tmp_path / "home" / "anna-secret"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", "hf_anna-secret")
    photos = class_folders(home / "my photos", each=12)
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}\n" for path in photos.rglob("*.png")]
    (home / "labels.csv").write_text("file,label\n" + "".join(rows))
    words = ["compare", str(photos), "--table", str(home / "labels.csv")]
    words += ["--methods", "majority", "--labels", "3", "--repeats", "2"]
    monkeypatch.setattr(sys, "argv", ["sparring", *words, "--out", str(home / "out")])
    assert main([*words, "--out", str(home / "out"), "--jobs", "0", "--quiet"]) == 0
    written = [path for path in (home / "out").rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"study.json", "summary.json", "report.html"}
    assert [path.name for path in written if b"anna-secret" in path.read_bytes()] == []
    definition = Study.read(home / "out").definition
    assert definition.source == "~/my photos" and definition.load.table == "~/labels.csv"
    assert definition.command.startswith("sparring compare ~/'my photos' --table ~/labels.csv --methods")
    assert main([*words, "--out", str(home / "out"), "--jobs", "0", "--quiet"]) == 0  # it goes on, and reads it again
    (home / "out" / "report.html").unlink()
    assert main(["report", str(home / "out")]) == 0
