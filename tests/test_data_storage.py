"""Room for images: in memory, or in a file without a name that is mapped into it."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from sparring import devices
from sparring.data import load, storage

CHILD = """
import os, sys
from sparring import devices
from sparring.data import storage
devices.free_memory = lambda: 1000
room = storage.room_for(100, (30, 20, 3))
room[:] = 7
print(os.listdir(sys.argv[1]), flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def scarce(monkeypatch, tmp_path):
    """Little memory; what is mapped lies in the folder that is returned."""
    monkeypatch.setattr(devices, "free_memory", lambda: 1000)
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def mapping(array):
    """Return the buffer that an array is a view of."""
    while isinstance(array, np.ndarray):
        array = array.base
    return getattr(array, "obj", array)


def test_room_is_memory_up_to_a_share_of_what_is_free(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    for free, mapped in ((4 * 6000, False), (4 * 6000 - 4, True), (devices.UNKNOWN_MEMORY, False)):
        monkeypatch.setattr(devices, "free_memory", lambda free=free: free)
        room = storage.room_for(10, (10, 20, 3))
        assert room.shape == (10, 10, 20, 3) and room.dtype == np.uint8
        assert room.flags.writeable and room.flags.c_contiguous and type(room) is np.ndarray
        assert (mapping(room) is not None) is mapped
    monkeypatch.setattr(storage, "MOST_UNKNOWN", 5999)
    assert mapping(storage.room_for(10, (10, 20, 3))) is not None


@pytest.mark.parametrize("reserves", [True, False])
def test_a_mapped_file_has_no_name_and_holds_what_is_written(scarce, reserves, monkeypatch):
    if not reserves:  # as on a Mac
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 11, 3), dtype=np.uint8)
    room = storage.room_for(50, (9, 11, 3))
    room[:] = images
    assert (room == images).all() and list(scarce.iterdir()) == []
    assert mapping(room) is not None


def test_nothing_is_left_of_a_process_that_is_killed(tmp_path):
    env = os.environ | {"SPARRING_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], env=env, capture_output=True, text=True)
    assert done.stdout == "[]\n" and done.returncode == -9 and list(tmp_path.iterdir()) == []


def test_the_second_folder_is_taken_where_the_first_has_no_room(scarce, monkeypatch, tmp_path):
    asked = []

    def mapped(size, folder):
        asked.append(folder)
        if folder == scarce:
            raise OSError(errno.ENOSPC, "no space")
        return bytearray(size)

    monkeypatch.setattr(storage, "mapped", mapped)
    assert storage.room_for(100, (8, 8, 1)).shape == (100, 8, 8, 1)
    assert asked[0] == scarce and len(asked) == 2


def test_the_disk_is_not_filled(scarce, monkeypatch):
    monkeypatch.setattr(storage, "free_disk", lambda folder: storage.DISK_LEFT + 6399)
    with pytest.raises(OSError, match="No space"):
        storage.mapped(6400, scarce)
    monkeypatch.setattr(storage, "free_disk", lambda folder: storage.DISK_LEFT + 6400)
    assert len(storage.mapped(6400, scarce)) == 6400


def test_selected_and_joined_images(scarce):
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 11, 3), dtype=np.uint8)
    for index in (np.arange(5, 20), np.array([7]), np.array([3, 1, 1, 49]), np.array([], int)):
        assert (storage.selected(images, index) == images[index]).all()
    assert np.shares_memory(storage.selected(images, np.arange(5, 20)), images)
    assert (storage.joined(images[:20], images[20:]) == images).all()
    whole = load((images, np.arange(50) % 2))
    assert np.shares_memory(whole.take(whole.parts != "test").images, whole.images)


def test_the_memory_of_a_control_group_counts(tmp_path):
    own, group = tmp_path / "own", tmp_path / "groups" / "job" / "one"
    group.mkdir(parents=True)
    own.write_text("0::/job/one\n")
    for name, text in (("max", "1000"), ("current", "900"), ("stat", "anon 500\ninactive_file 300\n")):
        (group / f"memory.{name}").write_text(text)
    assert devices.group_memory(tmp_path / "groups", own) == 400
    (group / "memory.max").write_text("max")
    assert devices.group_memory(tmp_path / "groups", own) == devices.UNKNOWN_MEMORY
    assert devices.group_memory(tmp_path / "none", own) == devices.UNKNOWN_MEMORY
