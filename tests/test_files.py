"""Files are whole or not there, whatever fails and whenever."""

import errno
import json
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sparring import files
from sparring.errors import FileFormatError, MachineError, UsageError
from sparring.files.writing import LOCK
from sparring.images import encode_png


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
def test_a_failing_system_call_leaves_the_old_state_or_the_new(tmp_path, monkeypatch, name, kind):  # R01
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
def test_what_is_named_has_been_synced(before, monkeypatch, name):  # R03
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
from sparring.errors import MachineError
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
    except MachineError as error:
        assert open(folder + "/rows.jsonl").read() == '{"row": 1}\\n'
        assert error.id in ("file-limit", "disk-full") and error.exit_code == 5, error
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


def test_a_file_of_very_many_lines_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sparring.files.reading.MOST_LINES", 3)
    (tmp_path / "a.jsonl").write_text("{}\n" * 3)
    assert len(files.read_lines(tmp_path / "a.jsonl")) == 3
    (tmp_path / "a.jsonl").write_text("{}\n" * 4)
    assert len(files.read_lines(tmp_path / "a.jsonl", most=4)) == 4
    with pytest.raises(FileFormatError, match="has 4 lines, and at most 3 are read"):
        files.read_lines(tmp_path / "a.jsonl")


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


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):  # R15
    """The lock names its holder, and dies with it even by kill -9."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"in\n"
        with (
            pytest.raises(MachineError, match=rf"in use by process {holder.pid} on ") as refused,
            files.locked(tmp_path),
        ):
            pass
        assert refused.value.id == "in-use"
        assert json.loads((tmp_path / LOCK).read_bytes())["pid"] == holder.pid
        holder.kill()
    with files.locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_sweep_removes_only_what_lies_aside(before):
    """What a user calls .tmp-report.docx, or an office program does, is no leftover of ours."""
    (before / ".tmp-report.docx").write_text("years of work")
    (before / "model" / ".work").mkdir()
    (before / "model" / ".work" / "thesis.txt").write_text("years of work")
    old = tree(before)
    (before / f"{files.TEMPORARY}1-0").write_text("half")
    (before / "model" / f"{files.TEMPORARY}1-2").write_text("half")
    (before / f"{files.TEMPORARY}1-1").mkdir()
    (before / f"{files.TEMPORARY}1-1" / "x").write_text("half")
    files.remove_leftovers(before)
    assert tree(before) == old


# --- what a stranger may have put there ------------------------------------------------------------------------------

READERS = {
    "json": files.read_json,
    "object": files.read_object,
    "lines": files.read_lines,
    "arrays": files.read_arrays,
    "bytes": files.read_bytes,
    "append": lambda path: files.append_line(path, {"row": 1}),
}


def a_link(path: Path) -> None:
    (path.parent / "victim.txt").write_text('{"theirs": 1}\ntorn')
    path.symlink_to("victim.txt")


SPECIAL = {"link": a_link, "dangling link": lambda path: path.symlink_to("nothing"), "pipe": os.mkfifo}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("reader", READERS)
def test_no_link_is_followed_and_no_pipe_is_opened(tmp_path, reader, kind):
    SPECIAL[kind](tmp_path / "events.jsonl")
    before = tree(tmp_path)
    with pytest.raises(FileFormatError, match=r"not-a-file\]: .*events\.jsonl is a (link|pipe)"):
        READERS[reader](tmp_path / "events.jsonl")
    assert tree(tmp_path) == before


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", [LOCK, "events.jsonl", "checkpoints", "model/deep/x"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_a_folder_with_a_link_is_not_locked(tmp_path, kind, place):
    """Whoever writes into a folder, or removes from it, holds its lock."""
    path = tmp_path / "run" / place
    path.parent.mkdir(parents=True)
    SPECIAL[kind](path)
    before = tree(tmp_path)
    with (
        pytest.raises(FileFormatError, match=r"not-a-file\]: .* is a (link|pipe)"),
        files.locked(tmp_path / "run"),
    ):
        pass
    assert tree(tmp_path) == before and path.lstat()


def test_a_planted_temporary_file_is_not_written_through(tmp_path, monkeypatch):  # S56
    monkeypatch.setattr("sparring.files.writing._temporary_name", lambda path: path.parent / "known")
    (tmp_path / "victim").write_text("theirs")
    (tmp_path / "known").symlink_to("victim")
    with pytest.raises(MachineError, match="File exists"):
        files.write_bytes(tmp_path / "a", b"ours")
    assert (tmp_path / "victim").read_text() == "theirs" and (tmp_path / "known").is_symlink()


def test_a_private_file_is_its_owners_alone(tmp_path):
    with files.atomic_file(tmp_path / "a", mode=files.PRIVATE) as temporary:
        temporary.write_bytes(b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


DEEP = 100_000


@pytest.mark.parametrize(
    "data",
    [
        b"[" * DEEP + b"]" * DEEP,
        b"[" * 500 + b"]" * 500,
        b'{"a":' * DEEP,
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"9" * 5000,
        b"",
        b"\0",
    ],
    ids=["deep", "deep enough", "deep and torn", "twice", "nan", "infinite", "bom", "utf-16", "huge", "empty", "nul"],
)
def test_odd_json_is_one_sentence(tmp_path, data):  # S12
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"^error\[bad-json\]: cannot read .*a\.json: .* Fix: [^\n]*$"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.jsonl").write_bytes(data.replace(b"\n", b" ") + b'\n{"row": 1}\n')
    with pytest.raises(FileFormatError, match="line 1 is not a JSON object"):
        files.read_lines(tmp_path / "a.jsonl")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    """A sparse file takes no room on the disk, and all of the memory."""
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(1 << 40)
    for read in READERS.values():
        with pytest.raises(FileFormatError):
            read(tmp_path / "a.json")


def test_reading_takes_no_more_memory_than_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    tracemalloc.start()
    assert files.read_bytes(tmp_path / "a", most=1 << 32) == b"x" * 1000
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_sealed_object_is_checked(tmp_path):
    files.write_sealed(tmp_path / "a.json", {"rate": 0.1, "name": "é"})
    assert files.read_object(tmp_path / "a.json") == files.sealed({"rate": 0.1, "name": "é"})
    text = (tmp_path / "a.json").read_text().replace("0.1", "0.2")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FileFormatError, match="a.json is damaged: it does not have the hash"):
        files.read_object(tmp_path / "a.json")
    files.write_json(tmp_path / "a.json", [1])
    with pytest.raises(FileFormatError, match="holds no JSON object"):
        files.read_object(tmp_path / "a.json")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "a/../../x", "a//b", "C:x", "a\\b", "a\0b", 3, None]
)
def test_no_path_leads_out_of_a_folder(tmp_path, name):
    assert files.inside(tmp_path, "a/b.npz") == tmp_path / "a" / "b.npz"
    with pytest.raises(FileFormatError, match="names a file"):
        files.inside(tmp_path, name)


def npz_with(path: Path, header: str, data: bytes, *, compressed: bool = True) -> None:
    """An .npz with one array "a" whose header says what we like."""
    text = header.encode().ljust(118) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data)


def test_arrays_are_compared_with_what_they_declare(tmp_path):
    header = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}".format
    path = tmp_path / "a.npz"
    npz_with(path, header("<f8", "(2,)"), bytes(16))
    assert files.read_arrays(path)["a"].tolist() == [0, 0]
    for kind, shape, data, said in [
        ("<f8", "(10000000000,)", bytes(16), "declares the shape"),  # 80 GB
        ("<f8", "(1,)", bytes(16), "declares the shape"),
        ("<f8", "(-2,)", bytes(16), "declares the shape"),
        ("|O", "(2,)", bytes(16), "holds objects"),
        ("<U4000000", "(1000000,)", bytes(16), "declares the shape"),
        ("nothing", "(2,)", bytes(16), ""),
    ]:
        npz_with(path, header(kind, shape), data)
        # said before the array is made: numpy would refuse some of them too, but take the memory first
        with pytest.raises(FileFormatError, match=rf"bad-arrays\]: cannot read .*a\.npz: .*{said}"):
            files.read_arrays(path)
    npz_with(path, header("|u1", f"({1 << 26},)"), bytes(1 << 26))
    with pytest.raises(FileFormatError, match="holds more than 32 MiB"):
        files.read_arrays(path, most=1 << 25)
    for damaged in (b"", b"PK\x03\x04", path.read_bytes()[: path.stat().st_size // 2]):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="bad-arrays"):
            files.read_arrays(path)


# --- where output may go ---------------------------------------------------------------------------------------------


def test_output_goes_where_nothing_is_lost(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / ".notes").write_text("theirs")
    assert files.new_folder(hidden, ours=("study.json",)) == hidden  # beside it: it stays
    with pytest.raises(UsageError, match="is not empty: it holds .notes"):
        files.new_folder(hidden)  # in place of it
    (tmp_path / "dangling").symlink_to("nothing")
    with pytest.raises(UsageError, match="is a link that leads nowhere"):
        files.new_folder(tmp_path / "dangling")
    (hidden / "study.json").symlink_to(hidden / ".notes")
    with pytest.raises(FileFormatError, match="study.json is a link"):
        files.new_folder(hidden, ours=("study.json",))


@pytest.mark.timeout(20)
def test_only_a_picture_of_ours_is_replaced(tmp_path):
    (tmp_path / "notes.png").write_text("notes on sparring")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("notes.png", "pipe.png"):
        with pytest.raises(UsageError, match="was not made by sparring"):
            files.new_file(tmp_path / name)
    (tmp_path / "ours.png").write_bytes(encode_png(np.zeros((8, 8, 1), np.uint8), text={"Software": "sparring"}))
    assert files.new_file(tmp_path / "ours.png")


def test_a_limit_of_the_process_is_no_full_disk():
    told = files.machine_error(OSError(errno.EFBIG, "File too large"), "x")
    assert told.id == "file-limit" and "ulimit -f" in str(told)


def test_lines_that_are_added_while_a_file_is_read_are_left_for_next_time(tmp_path, monkeypatch):
    """A report on a study that runs reads the rows that there are."""
    path, real = tmp_path / "rows.jsonl", os.fstat
    files.append_line(path, {"row": 1})

    def grown(descriptor):
        found = real(descriptor)
        with path.open("a") as file:
            file.write('{"row": 2}\n')
        return found

    monkeypatch.setattr(os, "fstat", grown)
    found = files.read_lines(path)
    assert found and len(found) < len(path.read_text().splitlines())
