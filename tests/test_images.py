"""The image contract: every kind of file becomes the documented pixels; grids; PNG files."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sparring.errors import DataError, MachineError, UsageError
from sparring.images import (
    BadImage,
    as_size,
    decoded,
    encode_png,
    fit_pixels,
    grid,
    is_generated,
    load_image,
    opened_image,
    read_header,
    save_png,
)

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 10), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (12, 10, 1), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    a = alpha.astype(float) / 255
    return colour * a + 255 * (1 - a)


# Modes


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_grey_stays_one_channel(kind):
    got = load_image(encoded(Image.fromarray(GREY), kind))
    assert got.shape == (12, 10, 1)
    assert (got[..., 0] == GREY).all()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_colour_is_kept(kind, options):
    assert (load_image(encoded(Image.fromarray(COLOUR), kind, **options)) == COLOUR).all()


def test_jpeg_equals_pillow():
    raw = encoded(Image.fromarray(COLOUR), "JPEG", quality=90)
    assert (load_image(raw) == np.asarray(Image.open(io.BytesIO(raw)))).all()


def test_one_bit_becomes_0_and_255():
    bits = GREY > 127
    assert (load_image(encoded(Image.fromarray(bits)))[..., 0] == bits * 255).all()


def test_sixteen_bits_keep_the_high_byte():
    deep = RNG.integers(0, 2**16, (12, 10), dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        got = load_image(encoded(Image.fromarray(deep), kind))
        assert (got[..., 0] == deep >> 8).all()


def test_transparency_is_put_on_white():
    raw = encoded(Image.fromarray(np.concatenate([COLOUR, ALPHA], axis=2), "RGBA"))
    assert np.abs(load_image(raw) - on_white(COLOUR, ALPHA)).max() <= 1
    hidden = np.concatenate([COLOUR, np.zeros_like(ALPHA)], axis=2)
    assert (load_image(encoded(Image.fromarray(hidden, "RGBA"))) == 255).all()


def test_grey_with_transparency_stays_one_channel():
    raw = encoded(Image.fromarray(np.stack([GREY, ALPHA[..., 0]], axis=2), "LA"))
    got = load_image(raw)
    assert got.shape == (12, 10, 1)
    assert np.abs(got - on_white(GREY[..., None], ALPHA)).max() <= 1


def test_a_palette_of_colours_and_one_of_greys():
    indexed = Image.fromarray(GREY % 4)
    indexed.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    table = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    assert (load_image(encoded(indexed)) == table[GREY % 4]).all()
    indexed.putpalette([0, 0, 0, 80, 80, 80, 160, 160, 160, 240, 240, 240])
    got = load_image(encoded(indexed))
    assert got.shape == (12, 10, 1)
    assert (got[..., 0] == 80 * (GREY % 4)).all()


def test_a_palette_with_a_transparent_entry():
    indexed = Image.fromarray(GREY % 2)
    indexed.putpalette([255, 0, 0, 0, 0, 255])
    raw = encoded(indexed, transparency=0)
    assert (load_image(raw) == np.array([[255, 255, 255], [0, 0, 255]], np.uint8)[GREY % 2]).all()


def test_cmyk_becomes_rgb():  # S30
    cmyk = Image.fromarray(RNG.integers(0, 256, (12, 10, 4), dtype=np.uint8), "CMYK")
    assert (load_image(encoded(cmyk, "TIFF")) == np.asarray(cmyk.convert("RGB"))).all()
    assert load_image(encoded(cmyk, "JPEG")).shape == (12, 10, 3)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_numbers_are_refused(mode):
    raw = encoded(Image.fromarray(GREY).convert(mode), "TIFF")
    with pytest.raises(BadImage, match="32-bit .* black and white are not known"):
        load_image(raw)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_1_to_8(kind, orientation):  # B25, S27
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = (250, 10, 10)
    upright[:8, 12:] = (10, 250, 10)
    upright[8:, :12] = (10, 10, 250)
    turned = {  # how a camera stores it
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1], 8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(turned))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    raw = encoded(image, kind, exif=exif, **options)
    with opened_image(raw) as stored:
        header = read_header(stored)
    assert header.size == (16, 24)
    got = load_image(raw)
    assert got.shape == (16, 24, 3)
    assert np.abs(got.astype(int) - upright)[2:6, 2:10].max() < 30
    assert np.abs(got.astype(int) - upright)[10:14, 2:10].max() < 30
    assert np.abs(got.astype(int) - upright)[2:6, 14:22].max() < 30


def test_the_first_of_several_frames():  # B19
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        raw = encoded(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        with opened_image(raw) as image:
            assert read_header(image).frames
        assert (load_image(raw)[..., 0] == GREY).all()
    with opened_image(encoded(frames[0])) as image:
        assert not read_header(image).frames


def test_channels_asked_for():
    assert (load_image(encoded(Image.fromarray(GREY)), channels=3) == GREY[..., None].repeat(3, 2)).all()
    got = load_image(encoded(Image.fromarray(COLOUR)), channels=1)
    assert np.abs(got[..., 0] - COLOUR @ [0.299, 0.587, 0.114]).max() <= 1


# Refusals


@pytest.mark.parametrize("plugin", ["PPM", "TGA", "ICO", "PCX", "EPS", "JPEG2000", "SGI", "DDS", "PDF"])
def test_other_decoders_never_run(plugin, monkeypatch):  # S31
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, plugin)
    for name, (factory, accept) in list(Image.OPEN.items()):
        if name not in ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "GIF", "TIFF"):
            monkeypatch.setitem(Image.OPEN, name, (lambda *_: pytest.fail("called"), accept))
        del factory
    with pytest.raises(BadImage, match="not"):
        load_image(buffer.getvalue())


def test_what_is_wrong_is_said(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot read .*a.png: empty file \(0 bytes\). Fix: replace"):
        load_image(tmp_path / "a.png")
    with pytest.raises(BadImage, match="there is no such file"):
        load_image(tmp_path / "b.png")
    with pytest.raises(BadImage, match="it is a folder"):
        load_image(tmp_path)
    with pytest.raises(BadImage, match=r"HEIC is not read here; pip install 'sparring\[heic\]'|damaged"):
        load_image(b"\0\0\0\x18ftypheic" + bytes(30))
    with pytest.raises(BadImage, match="starts with .<svg xmlns"):
        load_image(b"<svg xmlns='http://www.w3.org/2000/svg'/>")


# Sizes


def test_fit_cuts_at_most_a_tenth_and_squeezes_the_rest():
    image = np.full((40, 80, 1), 50, np.uint8)
    image[:, :4] = image[:, -4:] = 255  # the ends that are cut: 10 % of 80 in all
    image[10:30, 22:58] = 200  # half the height and of what is left of the width
    got = fit_pixels(image, (40, 40))[..., 0]
    assert (got[:, 1:-1] < 210).all()  # the ends are gone
    assert (np.abs(got[12:28, 12:28].astype(int) - 200) <= 2).all()
    assert (np.abs(got[:, 2:8].astype(int) - 50) <= 2).all() and (np.abs(got[:8, 2:-2].astype(int) - 50) <= 2).all()
    want = Image.fromarray(image[..., 0]).resize((40, 40), Image.Resampling.BICUBIC, box=(4, 0, 76, 40))
    assert (got == np.asarray(want)).all()


def test_fit_leaves_a_small_excess_to_the_cut():
    image = RNG.integers(0, 256, (40, 43, 3), dtype=np.uint8)
    got = fit_pixels(image, (20, 20))
    want = np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC, box=(1.5, 0, 41.5, 40)))
    assert (got == want).all()


def test_fit_is_antialiased():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    got = fit_pixels(board, (16, 16))[2:-2, 2:-2]
    assert np.abs(got.astype(int) - 127).max() <= 3


@given(st.integers(8, 40), st.integers(8, 40), st.integers(8, 40), st.integers(8, 40), st.sampled_from([1, 3]))
def test_fit_gives_the_size_asked_for(height, width, tall, wide, channels):
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), dtype=np.uint8)
    assert fit_pixels(image, (tall, wide)).shape == (tall, wide, channels)


def test_load_image_fits_as_fit_does(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    assert (load_image(tmp_path / "a.png", size=(8, 8)) == fit_pixels(COLOUR, (8, 8))).all()


def test_a_large_jpeg_is_shrunk_on_decoding_with_the_same_look():
    y, x = np.indices((600, 900)) / 100
    large = np.stack([127 + 120 * np.sin(y), 127 + 120 * np.cos(x), 127 + 60 * np.sin(x + y)], 2).astype(np.uint8)
    raw = encoded(Image.fromarray(large), "JPEG", quality=95)
    got = load_image(raw, size=(32, 48)).astype(int)
    assert np.abs(got - fit_pixels(large, (32, 48)).astype(int)).max() <= 6


@pytest.mark.parametrize(("side", "want"), [(90, 90), (97, 97), (193, 97), (400, 100), (2000, 250)])
def test_a_jpeg_is_never_decoded_below_twice_the_wanted_size(side, want):
    raw = encoded(Image.new("RGB", (side, side)), "JPEG")
    with opened_image(raw) as image:
        size = decoded(image, 3, (48, 48)).size
    assert size == (want, want)


@pytest.mark.parametrize(
    ("given_size", "want"),
    [(None, None), (64, (64, 64)), ("64", (64, 64)), ("48x64", (48, 64)), ((48, 64), (48, 64)), ([48, 64], (48, 64))],
)
def test_as_size(given_size, want):
    assert as_size(given_size) == want


@pytest.mark.parametrize("bad", [0, 7, -8, 5000, 1.5, "big", "8x8x8", (64,) * 3, True, "64.5", ""])
def test_as_size_refuses(bad):
    with pytest.raises(UsageError, match="size .* is not one or two whole numbers from 8 to 4096"):
        as_size(bad)


# Grids and PNG


def test_grid_places_every_pixel():
    images = RNG.integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
    got = grid(images, columns=3, scale=2, gap=1, paper=7)
    assert got.shape == (1 + 2 * 17, 1 + 3 * 19, 3)
    for i, image in enumerate(images):
        top, left = 1 + i // 3 * 17, 1 + i % 3 * 19
        assert (got[top : top + 16 : 2, left : left + 18 : 2] == image).all()
        assert (got[top + 1 : top + 16 : 2, left + 1 : left + 18 : 2] == image).all()
    assert (got[18:, 39:] == 7).all()
    assert (got[0] == 7).all()


def test_grid_chooses_its_shape():
    assert grid(np.zeros((16, 8, 8, 1), np.uint8)).shape == (4 * 50 + 2, 4 * 50 + 2, 1)
    assert grid(np.zeros((1, 64, 64, 3), np.uint8), columns=8).shape == (68, 68, 3)
    assert grid(np.zeros((0, 8, 8, 1), np.uint8)).shape[2] == 1


def test_png_text_says_generated(tmp_path):
    path = save_png(tmp_path / "a.png", COLOUR, text={"Seed": "7", "Class": "Käse"}, generated=True)
    assert (load_image(path) == COLOUR).all()
    text = Image.open(path).text
    assert (text["Generated"], text["Software"], text["Seed"], text["Class"]) == ("true", "sparring", "7", "Käse")
    assert "trainedAlgorithmicMedia" in text["XML:com.adobe.xmp"]
    assert is_generated(path)
    assert not is_generated(save_png(tmp_path / "b.png", COLOUR))
    assert not is_generated(encode_png(GREY))
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.png", "b.png"]


def test_png_of_all_shapes():
    for picture in (GREY, GREY[..., None], COLOUR):
        assert (load_image(encode_png(picture)).squeeze() == picture.squeeze()).all()
    with pytest.raises(TypeError):
        encode_png(COLOUR.astype(float))


def test_save_png_says_what_hinders_it(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MachineError):
        save_png(tmp_path / "file" / "a.png", GREY)
