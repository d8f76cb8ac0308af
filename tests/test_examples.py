"""The examples run, and do what they say."""

import runpy
from pathlib import Path

from sparring.images import load_image

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_own_loop_trains_and_draws(tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / "own_loop.py"))["main"]
    main(64 * 50, str(tmp_path / "samples.png"))
    assert "3,200 images: {'D Wasserstein'" in capsys.readouterr().out
    assert load_image(tmp_path / "samples.png").std() > 10


def test_few_labels_learns_from_them(capsys):
    right = runpy.run_path(str(EXAMPLES / "few_labels.py"))["main"]("spreading")
    assert right > 0.9
    assert "with 50 labels" in capsys.readouterr().out


def test_two_generators_are_told_apart(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    verdicts = runpy.run_path(str(EXAMPLES / "two_generators.py"))["main"](str(tmp_path / "page.html"))
    assert verdicts["kernel"] == "better"
    assert "no test tells sharp from the real images" in capsys.readouterr().out
    assert "<!doctype html>" in (tmp_path / "page.html").read_text(encoding="utf-8")
