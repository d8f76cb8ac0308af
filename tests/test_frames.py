"""Pictures of files that hold several: which are taken, where they go, and what goes with them."""

import json

import numpy as np
import pytest
from PIL import Image

from sparring import load
from sparring.cli import main
from sparring.data.extraction import extract_frames
from sparring.errors import DataError, UsageError
from sparring.images import BadImage, frames, save_png
from sparring.images.frames import frames_of, spread

PAGES = [np.full((12, 16), 20 * k, np.uint8) for k in range(1, 8)]


def stack(path, pages=PAGES):
    """Pages in one file, of grey levels that tell them apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(page) for page in pages]
    options = {"lossless": True, "minimize_size": False} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=rest, **options)


def film(path, codec, count=50):
    """A film that becomes red: of `count` frames the k-th has red 5 * k."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(count):
            picture = np.zeros((48, 64, 3), np.uint8)
            picture[..., 0] = 5 * k
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


@pytest.mark.parametrize(
    ("count", "most", "places"),
    [(7, None, [0, 1, 2, 3, 4, 5, 6]), (3, 5, [0, 1, 2]), (10, 1, [5]), (10, 2, [2, 7]), (100, 4, [12, 37, 62, 87])],
)
def test_pictures_are_spread_evenly(count, most, places):
    assert spread(count, most) == places


@pytest.mark.parametrize("ending", [".tif", ".gif", ".webp", ".png", ".avif"])
def test_every_page_comes_with_its_own_pixels(tmp_path, ending):
    stack(tmp_path / f"a{ending}")
    found = list(frames_of(tmp_path / f"a{ending}"))
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 6, 7]
    levels = [pixels.mean() for _, pixels in found]
    np.testing.assert_allclose(levels, [20 * k for k in range(1, 8)], atol=4 if ending in (".avif", ".webp") else 0)
    assert [number for number, _ in frames_of((tmp_path / f"a{ending}").read_bytes(), 3)] == [2, 4, 6]


def test_pages_of_16_bits_become_8(tmp_path):
    stack(tmp_path / "a.tif", [np.full((12, 16), 256 * k, np.uint16) for k in (1, 200)])
    assert [int(pixels.max()) for _, pixels in frames_of(tmp_path / "a.tif")] == [1, 200]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")]
)
def test_frames_of_a_film_are_those_of_their_numbers(tmp_path, name, codec):
    film(tmp_path / name, codec)
    found = list(frames_of(tmp_path / name, 5))
    assert [number for number, _ in found] == [6, 16, 26, 36, 46]
    for number, pixels in found:
        assert pixels.shape == (48, 64, 3)
        assert abs(pixels[..., 0].mean() - 5 * (number - 1)) < 8
    assert [number for number, _ in frames_of((tmp_path / name).read_bytes())] == list(range(1, 51))


def test_a_list_of_addresses_is_no_film(tmp_path):
    (tmp_path / "a.mp4").write_text("#EXTM3U\nhttp://127.0.0.1:9/secret.ts\n")
    with pytest.raises(BadImage, match="not an image: starts with '#EXTM3U"):
        list(frames_of(tmp_path / "a.mp4", 2))


def test_a_damaged_film_is_said(tmp_path):
    film(tmp_path / "whole.mp4", "libx264")
    (tmp_path / "a.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:700])
    with pytest.raises(BadImage, match="damaged"):
        list(frames_of(tmp_path / "a.mp4"))


def test_a_film_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    film(tmp_path / "a.mp4", "libx264", 3)
    monkeypatch.setattr(frames, "PIXEL_LIMIT", 1000)
    with pytest.raises(BadImage, match="64 x 48 pixels, more than the limit"):
        list(frames_of(tmp_path / "a.mp4"))


def test_an_animation_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    stack(tmp_path / "a.gif")
    monkeypatch.setattr(frames, "MOST_PIXELS", 6 * 12 * 16)
    assert len(list(frames_of(tmp_path / "a.gif", 2))) == 2  # the second is the sixth
    with pytest.raises(BadImage, match="7 frames of 16 x 12 pixels are more than"):
        list(frames_of(tmp_path / "a.gif"))


def test_films_need_a_package_that_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(200))
    monkeypatch.setattr("sparring.images.kinds._there", lambda package: False)
    with pytest.raises(BadImage, match=r"pip install 'sparring\[video\]' to read films"):
        list(frames_of(tmp_path / "a.mp4"))


def test_class_folders_keep_their_classes_and_each_file_becomes_a_group(tmp_path):
    for name in ("cat/a", "cat/b", "dog/c", "dog/d"):
        stack(tmp_path / f"in/{name}.tif", [page + len(name) * 3 + ord(name[-1]) for page in PAGES])
    (tmp_path / "in/cat/e.jpg").write_bytes(b"")
    save_png(tmp_path / "in/dog/f.png", PAGES[0])
    found = extract_frames(tmp_path / "in", tmp_path / "out", 3)
    assert (found.images, found.files, found.table) == (13, 5, False)
    assert found.left_out == (("cat/e.jpg", "empty file (0 bytes)"),)
    images = load(tmp_path / "out")
    assert images.classes == ("cat", "dog") and images.groups is not None
    assert images.origins[:3] == ("cat/a/0002.png", "cat/a/0004.png", "cat/a/0006.png")
    assert (tmp_path / "out/dog/f.png").read_bytes() == (tmp_path / "in/dog/f.png").read_bytes()
    groups = dict(zip(images.origins, images.groups, strict=True))
    assert len({groups[name] for name in groups if name.startswith("cat/a/")}) == 1
    assert groups["cat/a/0002.png"] != groups["cat/b/0002.png"]


def test_labels_of_a_table_go_with_the_pictures(tmp_path):
    stack(tmp_path / "in/1.tif")
    stack(tmp_path / "in/2.gif", [page + 9 for page in PAGES])
    (tmp_path / "in/labels.csv").write_text("file,label,split\n1.tif,cat,train\n2.gif,dog,test\n")
    found = extract_frames(tmp_path / "in", tmp_path / "out", 2)
    assert found.table
    images = load(tmp_path / "out", group="group")
    assert [images.classes[label] for label in images.labels] == ["cat", "cat", "dog", "dog"]
    assert images.parts.tolist() == ["train", "train", "test", "test"]
    assert images.groups is not None and images.groups.tolist() == ["1", "1", "2", "2"]


def test_two_files_of_one_name_get_folders_of_their_own(tmp_path):
    stack(tmp_path / "in/a.tif")
    stack(tmp_path / "in/a.gif")
    extract_frames(tmp_path / "in", tmp_path / "out", 1)
    assert (tmp_path / "out/a.tif/0004.png").is_file() and (tmp_path / "out/a.gif/0004.png").is_file()


def test_nothing_is_left_behind_where_nothing_can_be_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.tif").write_bytes(b"II*\0")
    with pytest.raises(DataError, match="nothing in .* can be read"):
        extract_frames(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="0 frames"):
        extract_frames(tmp_path / "in", tmp_path / "out", 0)
    with pytest.raises(UsageError, match="no folder or zip"):
        extract_frames(tmp_path / "in/none", tmp_path / "out")


def test_the_command_says_what_it_wrote_and_other_commands_name_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat/a", "dog/b"):
        stack(tmp_path / f"in/{name}.tif", [page + ord(name[-1]) for page in PAGES])
    assert main(["data", "in", "--frames", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": "in-frames", "images": 14, "files": 2, "table": True, "left_out": [],
    }  # fmt: skip
    assert main(["data", "in"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "2 images of several frames: the first taken (sparring data DATA --frames all has all)" in told
    assert main(["data", "in", "--frames", "none"]) == 2
    assert "--frames none is neither all nor a whole number" in capsys.readouterr().err


def test_a_folder_of_films_says_how_to_begin(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(200))
    with pytest.raises(DataError, match="--frames 10 --out FOLDER"):
        load(tmp_path)
