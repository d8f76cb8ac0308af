"""The cache on the disk: bounded, shared by processes, in the user's cache folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparring.features.cache import ABANDONED, Cache, user_cache
from sparring.features.extractor import Extractor
from sparring.files import TEMPORARY, cache_folder

FILE = 8 * 1000 + 546  # bytes of an .npz that holds 1,000 float64 called "a", and its seal


def put(cache, key, value=0.0):
    """The value kept under a key, and whether it had to be computed."""
    calls = []

    def compute():
        calls.append(key)
        return {"a": np.full(1000, value)}

    return cache.get((key,), compute)["a"][0], bool(calls)


def forgetful(folder, disk):
    """A cache that keeps nothing in memory but the last."""
    return Cache(1, folder=folder, disk=disk)


def test_the_folder_stays_below_its_limit_and_drops_what_was_not_used_for_longest(tmp_path):
    cache = forgetful(tmp_path, int(3.5 * FILE))
    for age, key in enumerate("abc"):
        put(cache, key)
        newest = max(tmp_path.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 + age, 1000 + age))
    assert put(cache, "a") == (0, False)  # read: now the youngest
    put(cache, "d")
    assert len(list(tmp_path.glob("*.npz"))) == 3
    assert [put(cache, key)[1] for key in "acd"] == [False, False, False]
    assert put(cache, "b")[1]


def test_a_file_in_the_place_of_another_is_not_taken(tmp_path):
    """Of the same shape and kind, whole, and with a right seal of its own: its features would be those of other
    images."""
    cache = forgetful(tmp_path, 10 * FILE)
    put(cache, "mine", 1.0)
    (mine,) = tmp_path.glob("*.npz")
    put(cache, "theirs", 2.0)
    (theirs,) = set(tmp_path.glob("*.npz")) - {mine}
    mine.write_bytes(theirs.read_bytes())
    cache.clear()
    assert put(cache, "mine", 1.0) == (1.0, True) and put(cache, "theirs", 2.0) == (2.0, False)
    cache.clear()
    assert put(cache, "mine", 1.0) == (1.0, False)


def test_what_is_larger_than_the_limit_stays_in_memory_only(tmp_path):
    cache = forgetful(tmp_path, FILE // 2)
    put(cache, "a", 7)
    assert not list(tmp_path.glob("*.npz")) and put(cache, "a") == (7, False)


def test_what_killed_processes_left_is_swept_but_not_what_others_write_now(tmp_path):
    old, young = tmp_path / f"{TEMPORARY}1-0", tmp_path / f"{TEMPORARY}2-0"
    for path in (old, young):
        path.write_bytes(b"half")
    gone = old.stat().st_mtime - ABANDONED - 1
    os.utime(old, (gone, gone))
    put(forgetful(tmp_path, 10 * FILE), "a")
    assert not old.exists() and young.exists()


def test_processes_write_and_read_at_once(tmp_path):
    """Two processes fill and drain one folder that holds 3 of 10 entries; neither ever sees half a file."""
    code = """
import sys, numpy as np
from pathlib import Path
from sparring.features.cache import Cache
cache = Cache(1, folder=Path(sys.argv[1]), disk=26000)
for turn in range(40):
    key = turn * int(sys.argv[2]) % 10
    assert (cache.get((key,), lambda: {"a": np.full(1000, float(key))})["a"] == key).all()
"""
    both = [subprocess.Popen([sys.executable, "-c", code, tmp_path, step]) for step in ("3", "7")]
    assert [process.wait() for process in both] == [0, 0]
    files = list(tmp_path.iterdir())
    assert sum(path.stat().st_size for path in files) <= 26000 and not [p for p in files if p.name.startswith(".")]


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert user_cache() is user_cache() and user_cache().folder == tmp_path / "mine" / "features"
    assert not (tmp_path / "mine").exists()  # nothing is made by asking
    monkeypatch.delenv("SPARRING_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "xdg" / "sparring"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache_folder() == Path.home() / ".cache" / "sparring"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path):
    tmp_path.chmod(0o500)
    assert put(forgetful(tmp_path, FILE), "a", 3) == (3, True)


def test_processes_that_ask_for_the_same_at_once_compute_it_once(tmp_path):
    """The first computes for a second and a half, the others wait and read it."""
    code = """
import sys, time, numpy as np
from pathlib import Path
from sparring.features.cache import Cache

def compute():
    with open(sys.argv[2], "a") as file:
        file.write("computed\\n")
    time.sleep(1.5)
    return {"a": np.full(10, 7.0)}

assert (Cache(folder=Path(sys.argv[1])).get(("key",), compute)["a"] == 7).all()
"""
    folder, log = tmp_path / "cache", tmp_path / "log"
    several = [subprocess.Popen([sys.executable, "-c", code, folder, log]) for _ in range(3)]
    assert [process.wait() for process in several] == [0, 0, 0]
    assert log.read_text() == "computed\n"
    assert [path.suffix for path in folder.iterdir()] == [".npz"]


def test_features_of_all_images_are_known_from_those_of_their_parts(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    seen = []

    def compute(images):
        seen.append(len(images))
        return images.reshape(len(images), -1)[:, :5].astype(np.float32), None

    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    extractor = Extractor(name="five", hash="h", resize="", compute=compute)
    train, test = np.array([3, 1, 0, 7, 9]), np.array([2, 4, 6])
    for index in (train, test):
        extractor.features(images[index])
    before = len(seen)
    extractor.know(images, [(images[train], train), (images[test], test)])
    assert sum(seen[before:]) == 12  # what no part covers
    assert np.array_equal(extractor.features(images), images.reshape(20, -1)[:, :5]) and len(seen) == before + 1
    other = images + 1
    extractor.know(other, [(images[train], train), (other[test], test)])  # a part is not in the cache: nothing happens
    assert len(seen) == before + 1
