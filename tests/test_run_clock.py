"""What a run does by the clock: end, write lines, keep pictures, save; and that none of it changes the training."""

import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from test_runs import arrays, train, weights
from test_training import THIN

from sparring import files
from sparring.cli import main
from sparring.images import save_png
from sparring.runs import driver, monitor
from sparring.runs.folder import Run
from sparring.runs.history import EventKind, read_events

ENDLESS = 10**12  # images
BATCH = THIN["cgan"].batch


class Clock:
    """A clock that a test moves: `tick` is asked after every round, as the wish to stop, and moves it on."""

    def __init__(self, step: float, stop_after: int | None = None):
        self.now, self.step, self.rounds, self.stop_after = 1000.0, step, 0, stop_after

    def monotonic(self) -> float:
        return self.now

    def tick(self) -> bool:
        self.now, self.rounds = self.now + self.step, self.rounds + 1
        return self.rounds == self.stop_after


@pytest.fixture
def timed(monkeypatch):
    """Train with so many seconds a round; `rounds`: stop after so many of them."""

    def run(out, *, step, rounds=None, images=ENDLESS, **kwargs):
        clock = Clock(step, rounds)
        monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=clock.monotonic))
        return train(out, images=images, stop=clock.tick, **kwargs)

    return run


def sampled(run) -> list[int]:
    """After how many rounds pictures were kept; each has its arrays beside it."""
    pictures = sorted((run / "samples").glob("*.png"))
    assert [p.with_suffix(".npz") for p in pictures] == sorted((run / "samples").glob("*.npz"))
    return [int(p.stem.removeprefix("images-")) // BATCH for p in pictures]


def logged(run) -> list[int]:
    return [line["round"] for line in files.read_lines(run / "log.jsonl")]


def test_the_clock_is_asked_every_round_however_many_images_are_to_come(tmp_path, timed):
    """7 seconds a round: half a minute is over after the fifth, where the first line by images is far away."""
    *steps, last = timed(tmp_path / "run", step=7, minutes=0.5)
    assert (last.images, last.why, last.done) == (5 * BATCH, "0.5 minutes are over", False)
    assert [s.seconds_left for s in steps] == [23, 16, 9, 2] and last.seconds_left == 0
    assert logged(tmp_path / "run") == [1, 2, 3, 4, 5]
    event = read_events(tmp_path / "run")[-1]
    assert (event.event, event.images, event.words) == (EventKind.TIME_OVER, 5 * BATCH, "0.5 minutes are over")


def test_the_time_left_is_what_is_over_first(tmp_path, timed):
    """10 rounds of 7 seconds are 70: less than 2 minutes, so images say what is left."""
    *steps, last = timed(tmp_path / "run", step=7, images=10 * BATCH, minutes=2)
    assert [round(s.seconds_left) for s in steps] == [63, 56, 49, 42, 35, 28, 21, 14, 7, 0] and last.done


def test_the_last_round_is_the_end_though_the_time_is_over_too(tmp_path, timed):
    last = timed(tmp_path / "run", step=7, images=5 * BATCH, minutes=0.5)[-1]
    assert last.done and last.why == "done" and (tmp_path / "run" / "model").is_dir()


def test_minutes_are_those_of_one_call_and_one_minute_is_said_so(tmp_path, timed):
    for calls in (1, 2):
        last = timed(tmp_path / "run", step=10, minutes=1)[-1]
        assert (last.images, last.seconds, last.why) == (calls * 7 * BATCH, calls * 70, "1 minute is over")
    timed(tmp_path / "whole", step=0, rounds=14)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_pictures_are_kept_at_doubling_times_and_at_every_stop(tmp_path, timed):
    """A second a round. The doubling goes on in the next call, and pictures leave the training as it was.

    From 50 seconds on 2 % of the time are more than a round: lines, and with them pictures, come every second round.
    """
    timed(tmp_path / "run", step=1, minutes=1)
    assert sampled(tmp_path / "run") == [0, 10, 20, 40, 61]
    timed(tmp_path / "run", step=1, rounds=39)
    assert sampled(tmp_path / "run") == [0, 10, 20, 40, 61, 81, 100]
    timed(tmp_path / "whole", step=0, rounds=100)
    assert sampled(tmp_path / "whole") == [0, 100]
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    last = [np.load(tmp_path / d / "samples" / f"images-{100 * BATCH:09d}.npz")["images"] for d in ("run", "whole")]
    assert np.array_equal(*last)


def test_pictures_by_images_come_as_well(tmp_path, timed):
    """800 rounds: a line every second one, a picture every fortieth."""
    timed(tmp_path / "run", step=0, rounds=90, images=800 * BATCH)
    assert sampled(tmp_path / "run") == [0, 40, 80, 90]
    assert logged(tmp_path / "run") == list(range(2, 91, 2))


@pytest.mark.parametrize("seconds", [0.0, 10.0, 79.9, 80.0, 1e5])
def test_the_next_doubling_time_is_past_and_never_twice_as_far(seconds):
    found = driver.doubled(10.0, seconds)
    assert seconds < found <= max(10.0, 2 * seconds) and math.log2(found / 10).is_integer()


def test_lines_come_by_time_often_at_first_and_then_every_quarter_of_a_minute(tmp_path, timed):
    """Half a second a round: each second until 2 % of the time are more; 15 seconds at most, so far on."""
    timed(tmp_path / "run", step=0.5, rounds=200)
    rounds = np.array(logged(tmp_path / "run"))
    assert rounds[:25].tolist() == list(range(2, 51, 2)) and rounds[-1] == 200
    waits = np.diff(rounds) * 0.5
    assert waits.max() <= 0.02 * 100 + 0.5 and (waits[:-1] >= 0.02 * rounds[1:-1] * 0.5).all()
    loop = SimpleNamespace(
        seconds=36_000.0, state=SimpleNamespace(round=1), every=10, last_line=driver.time.monotonic()
    )
    assert not driver._Loop.line_is_due(loop)
    loop.last_line -= 15
    assert driver._Loop.line_is_due(loop)


def test_a_killed_run_goes_on_from_a_checkpoint_by_time_and_drops_later_pictures(tmp_path, monkeypatch):
    """2 seconds a round: saved after the line past 60 seconds, whatever the images."""
    clock = Clock(2)
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=clock.monotonic))
    options = driver.TrainOptions(images=ENDLESS, augment="none", precision="fp32")
    steps = driver.train_steps(arrays(), THIN["cgan"], tmp_path / "run", options, stop=clock.tick)
    saved = [at.images // BATCH for at in (next(steps) for _ in range(41)) if at.saved]
    steps.close()  # what a kill leaves: no picture, no checkpoint
    assert saved == [31] and sampled(tmp_path / "run") == [0, 5, 10, 20, 40]
    (tmp_path / "run" / "samples" / "images-mine.png").write_bytes(b"")
    rounds = Clock(0, 29)
    last = list(driver.train_steps(arrays(), THIN["cgan"], tmp_path / "run", options, stop=rounds.tick))[-1]
    assert last.images == 60 * BATCH
    (tmp_path / "run" / "samples" / "images-mine.png").unlink()
    assert sampled(tmp_path / "run") == [0, 5, 10, 20, 60]
    assert logged(tmp_path / "run")[30:] == [31, 60]
    list(driver.train_steps(arrays(), THIN["cgan"], tmp_path / "whole", options, stop=Clock(0, 60).tick))
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_the_monitor_looks_at_a_run_of_any_length():
    assert monitor.tick_rounds(ENDLESS // BATCH) == monitor.tick_rounds(10**9) == 5000
    assert monitor.tick_rounds(500_000) == 5000 and monitor.tick_rounds(499_900) == 4999


# --- on the command line ---------------------------------------------------------------------------------------------


def test_a_stop_by_time_prints_a_command_that_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    typed = ["train", "digits", "-r", "dcgan", "--images", "1e12", "--minutes", "0.01", "--out", "my run"]
    monkeypatch.setattr(sys, "argv", ["sparring", *typed])
    seen = []
    for _ in range(2):
        assert main(typed) == 0
        out, err = capsys.readouterr()
        assert "of 1,000,000,000,000 images, saved in my run (0.01 minutes are over)" in out
        assert err.splitlines()[-1] == f"To go on for as long again: sparring {' '.join(typed[:-1])} 'my run'"
        seen.append(Run.read("my run").newest()[0].round)
    assert seen[1] > seen[0] > 0
    assert main(["sample", "my run", "-n", "1", "--grid", "one.png"]) == 0
    assert capsys.readouterr().out == "1 image: one.png\n"


def test_one_moment_is_no_film(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "samples").mkdir(parents=True)
    save_png(tmp_path / "run" / "samples" / "images-000000000.png", np.zeros((8, 8, 3), np.uint8), generated=True)
    assert main(["sample", "run", "--animate", "film.webp"]) == 2
    assert "run has samples of one moment of its training only" in capsys.readouterr().err
    assert not (tmp_path / "film.webp").exists()


def test_json_says_what_is_left_of_the_minutes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "-r", "mlp", "--images", "1e9", "--minutes", "0.01", "--out", "r", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["seconds_left"] == 0 and said["done"] is False and said["why"] == "0.01 minutes are over"
