"""Data that somebody made to harm: memory, time and other files stay as they are, and one sentence says why."""

import os
import struct
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from bad_inputs import class_folders, encoded
from pyarrow.parquet import ParquetFile, write_table

from sparring.cli import main
from sparring.data import load
from sparring.data.parquet_footer import column_sizes
from sparring.data.trees import image_files
from sparring.errors import DataError, SparringError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")


def images(count: int = 24) -> list[bytes]:
    return [encoded("PNG", i) for i in range(count)]


def parquet(path: Path, image: arrow.Array, **more) -> str:
    write_table(arrow.table({"image": image, **{name: arrow.array(values) for name, values in more.items()}}), path)
    return str(path)


def with_bytes(values: list, kind: arrow.DataType) -> arrow.Array:
    return arrow.array([{"bytes": value} for value in values], arrow.struct([("bytes", kind)]))


LABELS = [i % 2 for i in range(24)]


# --- Parquet ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(20)
@pytest.mark.parametrize("special", [False, True])
def test_text_in_place_of_bytes_opens_no_file(tmp_path, special):
    """A path in the place of an image would be opened: of any file on the machine, or of a pipe, which hangs."""
    theirs = tmp_path / "private.png"
    theirs.write_bytes(encoded("PNG"))
    if special:
        theirs.unlink()
        os.mkfifo(theirs)
    for kind in (arrow.string(), arrow.large_string()):
        source = parquet(tmp_path / "x.parquet", with_bytes([str(theirs)] * 24, kind), label=LABELS)
        with pytest.raises(DataError, match=r"parquet-columns\]: .* has no column of encoded images"):
            load(source)


@LINUX
def test_a_value_that_repeats_is_not_held_many_times(tmp_path):
    """A file of a kilobyte: 4 MB, 600 times, would be 2.4 GB."""
    value = arrow.DictionaryArray.from_arrays(arrow.array([0] * 600, arrow.int32()), arrow.array([bytes(4_000_000)]))
    image = arrow.StructArray.from_arrays([value], ["bytes"])
    big = {"store_schema": False, "dictionary_pagesize_limit": 1 << 30, "compression": "zstd"}
    write_table(arrow.table({"image": image, "label": [0, 1] * 300}), tmp_path / "x.parquet", **big)
    assert (tmp_path / "x.parquet").stat().st_size < 4000
    assert peak_of(f"load({str(tmp_path / 'x.parquet')!r})") < 400


def test_labels_are_no_novels(tmp_path):
    label = arrow.DictionaryArray.from_arrays(arrow.array([0, 1] * 12), arrow.array(["a" * 4_000_000, "b"]))
    table = arrow.table({"image": with_bytes(images(), arrow.binary()), "label": label})
    write_table(table, tmp_path / "x.parquet", store_schema=False, dictionary_pagesize_limit=1 << 30)
    with pytest.raises(DataError, match="a class in column label in .* has a name of more than 255 characters"):
        load(str(tmp_path / "x.parquet"))


MEASURED = """
import resource, pyarrow.parquet, PIL.Image
from sparring.cli import main
from sparring.data import load
from sparring.data.parquet_footer import column_sizes
from sparring.data.trees import image_files
from sparring.errors import SparringError
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    %s
except SparringError as error:
    assert 'Fix:' in str(error)
for line in open('/proc/self/status'):  # ru_maxrss begins with what the process had that started this one
    if line.startswith('VmHWM'):
        print(int(line.split()[1]) / 1024)
"""


def peak_of(code: str) -> float:
    """MiB that a command takes beside what Python, numpy and the reading of a small file take."""

    def measured(each: str) -> float:
        made = subprocess.run([sys.executable, "-c", MEASURED % each], capture_output=True, text=True, check=True)
        return float(made.stdout)

    return measured(code) - measured("pass")


def changed(path: Path, old: bytes, new: bytes, count: int) -> None:
    """The footer of a Parquet file with other numbers in it."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[-8:-4])[0]
    footer = data[-8 - length : -8]
    assert old in footer and len(old) == len(new)
    path.write_bytes(data[: -8 - length] + footer.replace(old, new, count) + data[-8:])


@pytest.mark.parametrize(("count", "said"), [(1, "its parts say otherwise"), (-1, "rows")])
def test_rows_that_are_declared_and_not_there(tmp_path, count, said):
    """24 rows in thrift's compact form: 0x16 (the next field, 64 bits), 48 (twice 24)."""
    path = tmp_path / "x.parquet"
    for more in ({"label": LABELS}, {}):
        parquet(path, with_bytes(images(), arrow.binary()), **more)
        changed(path, b"\x16\x30", b"\x16\x50", count)
        with pytest.raises(DataError, match=rf"bad-parquet\]: cannot read .*{said}"):
            load(str(path))


def test_more_rows_than_bytes(tmp_path):
    source = parquet(tmp_path / "x.parquet", arrow.array([b"x"] * 3_000_000), label=[1] * 3_000_000)
    with pytest.raises(DataError, match=r"it says that it has 3,000,000 rows, in [\d,]+ bytes"):
        load(source)


@LINUX
def test_a_column_that_unpacks_to_very_much(tmp_path):
    large = arrow.array([bytes(300_000_000)])
    write_table(arrow.table({"image": large}), tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    assert peak_of(f"load({str(tmp_path / 'x.parquet')!r})") < 100
    with pytest.raises(DataError, match="column image would unpack"):
        load(str(tmp_path / "x.parquet"))


def test_two_columns_of_one_name(tmp_path):
    table = arrow.table([with_bytes(images(), arrow.binary()), LABELS, LABELS], names=["image", "label", "label"])
    write_table(table, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="it has two columns 'label'"):
        load(str(tmp_path / "x.parquet"))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"info": 3}', '{"info": {"features": []}}', "\0"])
def test_odd_metadata_is_no_class_names(tmp_path, text):
    table = arrow.table({"image": with_bytes(images(), arrow.binary()), "label": LABELS})
    write_table(table.replace_schema_metadata({"huggingface": text}), tmp_path / "x.parquet")
    assert load(str(tmp_path / "x.parquet")).classes == ("0", "1")


@pytest.mark.parametrize("part", range(8))
def test_a_damaged_parquet_file_is_one_sentence(tmp_path, part):
    path = Path(parquet(tmp_path / "x.parquet", with_bytes(images(), arrow.binary()), label=LABELS))
    whole = path.read_bytes()
    for bit in np.linspace(part, 8 * len(whole) - 1, 40).astype(int).tolist():
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            assert len(load(str(path))) <= 24
        except SparringError as error:
            assert "Fix:" in str(error)


# --- zips and names --------------------------------------------------------------------------------------------------


def test_a_zip_that_unpacks_to_very_much(tmp_path):
    """Half a megabyte of pictures that are all one colour, 1 GB unpacked; unpacked by the user they may be read."""
    picture = b"BM" + bytes(40_000_000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(10):
            archive.writestr(f"{'ab'[i % 2]}/{i}.bmp", picture)
    with pytest.raises(DataError, match=r"zip-bomb\]: .*x\.zip would unpack 0\.4 MiB to 10 files of 381 MiB"):
        load(str(tmp_path / "x.zip"))


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode here")
def test_names_that_are_not_unicode_are_read_and_shown(tmp_path, capsysbinary):
    top = os.fsencode(class_folders(tmp_path / "photos"))
    os.rename(os.path.join(top, b"cat"), os.path.join(top, b"c\xfft"))  # noqa: PTH104, PTH118 bytes
    os.rename(os.path.join(top, b"dog", b"0.png"), os.path.join(top, b"dog", b"\xff.png"))  # noqa: PTH104, PTH118
    found = load(str(tmp_path / "photos"))
    assert len(found) == 8 and not found.notes.bad_files
    paths = image_files([tmp_path / "photos"]).images
    assert len(paths) == 8 and all(path.is_file() for path in paths)
    assert len(load([str(tmp_path / "photos")])) == 8
    assert main(["data", str(tmp_path / "photos"), "--sheet", str(tmp_path / "x.png")]) == 0
    capsysbinary.readouterr().out.decode("utf-8")


def test_a_damaged_histogram_in_a_footer_is_one_sentence():
    """pyarrow 26 ends the process where it is asked for the sizes of such a column."""
    with pytest.raises(DataError, match=r"bad-parquet\]: cannot read .*histogram size mismatch"):
        load(str(Path(__file__).parent / "fixtures" / "fuzz" / "histogram.parquet"))


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_sizes_of_columns_are_those_of_pyarrow(tmp_path, rows):
    texts = [f"{i:05}" for i in range(rows)]
    inner = arrow.list_(arrow.struct([("x", arrow.float64())]))
    deep = [{"bytes": text.encode(), "more": [{"x": 1.5}, None]} for text in texts]
    image = arrow.array(deep, arrow.struct([("bytes", arrow.binary()), ("more", inner)]))
    label = arrow.array([i % 7 for i in range(rows)], arrow.int64())
    columns = {"image": image, "label": label, "été": arrow.array(texts, arrow.string())}
    for i, options in enumerate(({}, {"row_group_size": 300}, {"use_dictionary": False, "compression": "none"})):
        path = tmp_path / f"{i}.parquet"
        write_table(arrow.table(columns), path, **options)
        about = ParquetFile(path).metadata
        each = [about.row_group(i).column(j) for i in range(about.num_row_groups) for j in range(about.num_columns)]
        assert [tuple(one) for one in column_sizes(path)] == [
            (one.path_in_schema, one.total_compressed_size, one.total_uncompressed_size) for one in each
        ]


def test_footers_that_are_cut_or_changed_are_no_sizes(tmp_path):
    whole = Path(__file__).parent.joinpath("fixtures", "fuzz", "histogram.parquet").read_bytes()
    rng, path = np.random.default_rng(0), tmp_path / "x.parquet"
    for _ in range(300):
        data = bytearray(whole)
        data[int(rng.integers(len(data) - 1200, len(data)))] = int(rng.integers(256))
        path.write_bytes(data)
        with suppress(ValueError):
            assert all(isinstance(one.packed, int) for one in column_sizes(path))
    length = 40_000
    path.write_bytes(b"PAR1" + b"\x1c" * length + length.to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="nested too deeply"):
        column_sizes(path)
