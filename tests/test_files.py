"""Files are whole or not there, whatever fails and whenever."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparring import files
from sparring.errors import FileFormatError, MachineError


def tree(folder: Path) -> dict:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


WRITERS = {
    "bytes": lambda folder: files.write_bytes(folder / "a", b"new"),
    "text": lambda folder: files.write_text(folder / "a", "new"),
    "json": lambda folder: files.write_json(folder / "a", {"new": 1}),
    "arrays": lambda folder: files.write_arrays(folder / "a", x=np.arange(3)),
    "line": lambda folder: files.append_line(folder / "a.jsonl", {"row": 2}),
    "folder": lambda folder: filled(folder / "model"),
}


def filled(path: Path) -> None:
    with files.atomic_folder(path) as temporary:
        (temporary / "one").write_text("new 1")
        (temporary / "two").write_text("new 2")


def old_state(folder: Path) -> Path:
    """A folder in which everything that WRITERS write has an old state."""
    (folder / "model").mkdir(parents=True)
    (folder / "a").write_bytes(b"old")
    (folder / "a.jsonl").write_text('{"row": 1}\n')
    (folder / "model" / "one").write_text("old")
    return folder


@pytest.fixture
def before(tmp_path):
    return old_state(tmp_path / "before")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_failing_system_call_leaves_the_old_state_or_the_new(tmp_path, monkeypatch, name, kind):
    """SQLite's method: the N-th call fails, N = 1, 2, ... until a run is clean."""
    clean = old_state(tmp_path / "clean")
    old = tree(clean)
    WRITERS[name](clean)
    new = tree(clean)
    assert new != old
    calls, fail_at = 0, 0

    def failing(real):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == fail_at:
                raise OSError(kind, os.strerror(kind))
            return real(*arguments, **options)

        return call

    states = []
    for attempt in range(1, 20):
        folder = old_state(tmp_path / str(attempt))
        with monkeypatch.context() as patch:
            for owner, function in (
                (os, "fsync"),
                (Path, "replace"),
                (Path, "rename"),
                (Path, "open"),
                (Path, "mkdir"),
            ):
                patch.setattr(owner, function, failing(getattr(owner, function)))
            calls, fail_at = 0, attempt
            try:
                WRITERS[name](folder)
            except MachineError as error:
                assert f"cannot write {folder}" in str(error)
            else:
                assert calls < fail_at, "a failure was swallowed"
                break
        assert tree(folder) in (old, new)
        assert not list(folder.glob(".tmp-*"))
        states.append(tree(folder) == new)
    assert tree(folder) == new
    assert states[0] is False  # a failure did fire, and the first left the old state
    assert states == sorted(states)


@pytest.mark.parametrize("name", ["bytes", "line", "folder"])
def test_what_is_named_has_been_synced(before, monkeypatch, name):
    """Power may fail after any call: content reaches the disk before the name that shows it, and the name at last."""
    calls, synced, real = [], os.fsync, {"replace": Path.replace, "rename": Path.rename}

    def fsync(handle):
        calls.append(("sync", Path(f"/proc/self/fd/{handle}").resolve().name))
        synced(handle)

    def moved(kind):
        return lambda old, new: (calls.append((kind, Path(new).name)), real[kind](old, new))[1]

    monkeypatch.setattr(os, "fsync", fsync)
    for kind in real:
        monkeypatch.setattr(Path, kind, moved(kind))
    WRITERS[name](before)
    if name == "line":
        assert calls == [("sync", "a.jsonl")]
        return
    place = next(i for i, (kind, new) in enumerate(calls) if kind != "sync" and new in ("a", "model"))
    inside = [new for kind, new in calls[:place] if kind == "sync"]
    assert any(new.startswith(".tmp-") for new in inside)
    assert name != "folder" or {"one", "two"} <= set(inside)
    assert calls[place + 1 :] == [("sync", before.name)]


def test_disk_full_for_real_leaves_nothing(tmp_path):
    """RLIMIT_FSIZE makes the kernel refuse bytes beyond 1,000."""
    code = """
import resource, signal, sys
import numpy
from sparring import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = sys.argv[1]
files.append_line(folder + "/rows.jsonl", {"row": 1})
def to_file(path):
    with files.atomic_file(path) as temporary, temporary.open("wb") as file:
        numpy.arange(1000).tofile(file)
for write in (lambda: files.write_bytes(folder + "/big", bytes(2000)),
              lambda: files.append_line(folder + "/rows.jsonl", {"row": "2" * 2000}),
              lambda: to_file(folder + "/array")):
    try:
        write()
        raise SystemExit("was not refused")
    except files.MachineError as error:
        assert open(folder + "/rows.jsonl").read() == '{"row": 1}\\n'
        assert error.id == "disk-full" and "disk is full" in str(error) and error.exit_code == 5, error
files.append_line(folder + "/rows.jsonl", {"row": 3})
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]
    assert files.read_lines(tmp_path / "rows.jsonl") == [{"row": 1}, {"row": 3}]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_said_plainly(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    for write in (files.write_bytes, files.write_text):
        with pytest.raises(MachineError, match="permission denied.*Fix: choose a folder"):
            write(tmp_path / "locked" / "a", b"" if write is files.write_bytes else "")
    with pytest.raises(MachineError, match="permission denied"):
        files.make_folder(tmp_path / "locked" / "b")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(MachineError, match="cannot write .*a/b: Not a directory"):
        files.make_folder(tmp_path / "a" / "b")


def test_a_failing_block_leaves_the_old_folder(before):
    old = tree(before)
    with pytest.raises(ZeroDivisionError), files.atomic_folder(before / "model") as temporary:
        (temporary / "one").write_text("half")
        _ = 1 / 0
    assert tree(before) == old
    filled(before / "model")
    assert tree(before / "model") == {"one": b"new 1", "two": b"new 2"}


@pytest.mark.parametrize("cut", range(1, 28))
def test_a_torn_last_line_was_not_written(tmp_path, cut):
    path = tmp_path / "rows.jsonl"
    files.append_line(path, {"row": 1})
    whole = path.read_bytes()
    files.append_line(path, {"name": "größe\n", "row": 2})
    both = path.read_bytes()
    path.write_bytes(both[: min(len(whole) + cut, len(both))])
    torn = len(whole) + cut < len(both) - 1  # without its newline the object is still whole
    assert files.read_lines(path) == [{"row": 1}] + [{"name": "größe\n", "row": 2}] * (not torn)
    files.append_line(path, {"row": 3})
    assert [row["row"] for row in files.read_lines(path)] == ([1, 3] if torn else [1, 2, 3])


def test_a_long_torn_line_is_cut_off_whole(tmp_path):
    path = tmp_path / "rows.jsonl"
    files.append_line(path, {"row": "1" * 200_000})
    with path.open("ab") as file:
        file.write(b'{"row": "' + b"2" * 300_000)
    files.append_line(path, {"row": 3})
    assert [row["row"] for row in files.read_lines(path)] == ["1" * 200_000, 3]


def test_a_first_line_that_is_torn(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"row')
    assert files.read_lines(tmp_path / "rows.jsonl") == []
    files.append_line(tmp_path / "rows.jsonl", {"row": 1})
    assert (tmp_path / "rows.jsonl").read_bytes() == b'{"row": 1}\n'


def test_a_bad_line_in_the_middle_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"row": 1}\nrubbish\n{"row": 3}\n')
    with pytest.raises(FileFormatError, match="line 2 is not a JSON object"):
        files.read_lines(tmp_path / "rows.jsonl")
    assert files.read_lines(tmp_path / "nothing.jsonl") == []


def test_json_keeps_names_that_are_not_utf8(tmp_path):
    value = {"origin": "caf\udce9.png", "Größe": [1, 2.5, None]}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"accuracy": float("nan")})
    assert files.read_json(tmp_path / "a.json") == value
    for bad in ("missing.json", "torn.json"):
        (tmp_path / "torn.json").write_text('{"a"')
        with pytest.raises(FileFormatError, match=f"cannot read .*{bad}"):
            files.read_json(tmp_path / bad)


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        files.write_arrays(tmp_path / name, proba=np.eye(3, dtype=np.float32))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    np.testing.assert_array_equal(np.load(tmp_path / "a")["proba"], np.eye(3))


HOLD = """
import sys, time
from sparring import files
with files.locked(sys.argv[1]):
    print("in", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    """The lock names its holder, and dies with it even by kill -9."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"in\n"
        with (
            pytest.raises(MachineError, match=rf"in use by process {holder.pid} on ") as refused,
            files.locked(tmp_path),
        ):
            pass
        assert refused.value.id == "in-use"
        assert json.loads((tmp_path / ".lock").read_bytes())["pid"] == holder.pid
        holder.kill()
    with files.locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_sweep_removes_only_what_lies_aside(before):
    old = tree(before)
    (before / ".tmp-1-0").write_text("half")
    (before / "model" / ".tmp-1-2").write_text("half")
    (before / ".tmp-1-1").mkdir()
    (before / ".tmp-1-1" / "x").write_text("half")
    files.remove_leftovers(before)
    assert tree(before) == old
