"""Features against brute-force loops; the cache."""

import math

import numpy as np
import pytest
import torch

from sparring.errors import UsageError
from sparring.features import EXTRACTORS, colours, deskew, extract, gradient_histograms, histograms, hog, pixels
from sparring.features.cache import CACHE, Cache
from sparring.features.handcrafted import blocks_of, candidate_features


@pytest.fixture(autouse=True)
def empty_cache():
    CACHE.clear()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def slow_hog(image, cell, stride, orientations):
    """Every pixel of one image on its own, float64: [orientations, rows, columns]."""
    height, width, channels = image.shape
    x = image.astype(float) / 255
    starts = [list(range(0, side - cell + 1, stride)) for side in (height, width)]
    centres = [
        [start + (side - cell - at[-1]) / 2 + (cell - 1) / 2 for start in at]
        for side, at in zip((height, width), starts, strict=True)
    ]
    out = np.zeros((orientations, len(centres[0]), len(centres[1])))
    for i in range(height):
        for j in range(width):
            best = (-1.0, 0.0, 0.0)
            for c in range(channels):
                gx = (x[i, min(j + 1, width - 1), c] - x[i, max(j - 1, 0), c]) / 2
                gy = (x[min(i + 1, height - 1), j, c] - x[max(i - 1, 0), j, c]) / 2
                best = max(best, (math.hypot(gx, gy), gx, gy), key=lambda g: g[0])
            strength, gx, gy = best
            place = math.atan2(gy, gx) / (2 * math.pi) * orientations % orientations
            low = int(place)
            for direction, share in ((low, low + 1 - place), (low + 1, place - low)):
                for r, row in enumerate(centres[0]):
                    for k, column in enumerate(centres[1]):
                        near = max(0, 1 - abs(i - row) / ((cell + 1) / 2)) * max(
                            0, 1 - abs(j - column) / ((cell + 1) / 2)
                        )
                        out[direction % orientations, r, k] += strength * share * near
    for axis, (side, at) in enumerate(zip((height, width), centres, strict=True)):
        for place, centre in enumerate(at):
            total = sum(max(0, 1 - abs(i - centre) / ((cell + 1) / 2)) for i in range(side))
            np.moveaxis(out, axis + 1, 0)[place] /= total
    return out / np.sqrt((out**2).sum(0) + gradient_histograms.SOFTEN**2)


@pytest.mark.parametrize(
    ("shape", "cell", "stride", "orientations"),
    [((8, 8, 1), 3, 1, 8), ((13, 21, 1), 4, 3, 6), ((12, 9, 3), 3, 2, 8), ((28, 28, 1), 7, 3, 8)],
)
def test_hog_is_what_a_loop_over_pixels_gives(shape, cell, stride, orientations):
    images = noise(2, *shape)
    found = hog(images, cell=cell, stride=stride, orientations=orientations)
    assert found.dtype == np.float32
    for image, row in zip(images, found, strict=True):
        expected = slow_hog(image, cell, stride, orientations)
        assert np.allclose(row.reshape(expected.shape), expected, atol=2e-5)


def test_hog_does_not_depend_on_the_images_beside():
    images = noise(500, 16, 12, 1)
    assert np.allclose(
        hog(images, cell=4), np.concatenate([hog(images[k : k + 1], cell=4) for k in range(500)]), atol=1e-6
    )


def test_hog_knows_which_side_is_bright():
    """Signed: a dark-to-bright edge and its inverse have no direction in common."""
    edge = np.zeros((1, 12, 12, 1), np.uint8)
    edge[:, :, 6:] = 255
    a, b = hog(edge, cell=4)[0], hog(255 - edge, cell=4)[0]
    assert a.max() > 0.9 and abs(a @ b) < 1e-6


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 20, 3), (28, 28, 1), (33, 47, 3), (64, 64, 1), (64, 8, 1)])
@pytest.mark.parametrize("name", EXTRACTORS)
def test_every_extractor_takes_every_size(name, shape):
    if "deskewed" in name and shape[2] == 3:
        return
    images = noise(3, *shape)
    before = images.copy()
    found = extract(name, images)
    assert found.dtype == np.float32 and found.ndim == 2 and len(found) == 3
    assert np.isfinite(found).all() and found.std() > 0 and found.shape[1] <= 12_000
    assert (images == before).all()


def test_candidates_exist_and_fit_the_colours():
    for shape in ((28, 28, 1), (32, 32, 3)):
        for name in candidate_features(shape):
            for block in blocks_of(name):
                extract(block, noise(2, *shape))
    assert not any("deskewed" in name for name in candidate_features((32, 32, 3)))


def test_pixels_and_colours():
    images = noise(2, 8, 8, 3)
    assert np.allclose(pixels(images), images.reshape(2, -1) / 255)
    grid = colours(images).reshape(2, 3, 4, 4)
    assert np.allclose(grid[1, 2, 3, 0], images[1, 6:8, 0:2, 2].mean() / 255)
    odd = noise(1, 9, 10, 3)  # a cell of 2.25 x 2.5 pixels
    weights = np.outer([1, 1, 0.25], [1, 1, 0.5])
    assert np.allclose(
        colours(odd).reshape(3, 4, 4)[0, 0, 0], (odd[0, :3, :3, 0] * weights).sum() / weights.sum() / 255
    )


def slow_patterns(image, cells):
    """Every pixel on its own: counts of runs of brighter neighbours."""
    height, width, channels = image.shape
    total = image.sum(2, dtype=int)
    uniform = [c for c in range(256) if sum(f"{c:08b}"[k] != f"{c:08b}"[k - 1] for k in range(8)) <= 2]
    out = np.zeros((cells, cells, 59))
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            near = [total[i + d, j + r] >= total[i, j] + 2 * channels for d, r in histograms.CIRCLE]
            code = sum(2**k for k in range(8) if near[k])
            box = (i - 1) * cells // (height - 2), (j - 1) * cells // (width - 2)
            out[box][uniform.index(code) if code in uniform else 58] += 1
    return np.sqrt(out / out.sum(2, keepdims=True)).ravel()


@pytest.mark.parametrize("shape", [(11, 14, 1), (16, 9, 3)])
def test_patterns_are_what_a_loop_over_pixels_gives(shape):
    images = noise(2, *shape) // 16  # many neighbours of nearly the same grey
    found = histograms.local_binary_patterns(images)
    assert found.shape == (2, 9 * 59)
    for image, row in zip(images, found, strict=True):
        assert np.allclose(row, slow_patterns(image, 3), atol=1e-6)


def slow_colours(image):
    """Every pixel on its own, shared between the levels beside it: [5, 5, 5, 5], whole image and quarters."""
    height, width, _ = image.shape
    out = np.zeros((5, 5, 5, 5))
    for i in range(height):
        for j in range(width):
            r, g, b = image[i, j] / 255.0
            values = [(r + g + b) / 3, 0.5 + 0.8 * (r - g), 0.5 + 0.8 * ((r + g) / 2 - b)]
            at = [min(max(value, 0), 1) * 4 for value in values]
            quarter = 1 + 2 * (i * 2 // height) + j * 2 // width
            for level in np.ndindex(5, 5, 5):
                share = np.prod([max(0, 1 - abs(a - k)) for a, k in zip(at, level, strict=True)])
                out[0][level] += share
                out[quarter][level] += share
    out /= out.sum((1, 2, 3), keepdims=True)
    out[1:] /= 4
    return np.sqrt(out).ravel()


def test_colours_are_what_a_loop_over_pixels_gives():
    images = noise(2, 9, 8, 3)
    found = histograms.colour_histograms(images)
    assert np.allclose(found, [slow_colours(image) for image in images], atol=1e-3)
    assert np.allclose((found**2).sum(1), 2, atol=1e-4)  # the whole counts as much as its quarters
    grey = images[..., :1]
    assert np.allclose(histograms.colour_histograms(grey), histograms.colour_histograms(grey.repeat(3, 3)), atol=1e-3)


def test_names_of_blocks():
    assert blocks_of("hog") == ("hog",) and blocks_of("hog & lbp") == ("hog", "lbp")
    with pytest.raises(UsageError, match="did you mean lbp"):
        blocks_of("hog & lpb")


def bar(slope, ground=0, ink=255, at=(14, 14)):
    """A bar 3 pixels wide on 28x28 that leans by `slope` columns a row."""
    y, x = np.mgrid[:28, :28]
    inside = (abs(x - at[1] - slope * (y - at[0])) <= 1.5) & (abs(y - at[0]) <= 8)
    return np.where(inside, ink, ground).astype(np.uint8)[None, ..., None]


def lean(images, ground=0):
    weight = abs(images[0, ..., 0].astype(float) - ground)
    y, x = np.mgrid[:28, :28]
    x, y = x - (weight * x).sum() / weight.sum(), y - (weight * y).sum() / weight.sum()
    return (weight * x * y).sum() / (weight * y * y).sum()


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (100, 200)])
def test_deskew_uprights_a_leaning_bar(ground, ink):
    skewed = bar(0.5, ground, ink, at=(12, 16))
    assert abs(lean(skewed, ground) - 0.5) < 0.05
    upright = deskew(skewed)
    assert upright.dtype == np.uint8 and upright.shape == skewed.shape
    assert abs(lean(upright, ground)) < 0.03
    weight = abs(upright[0, ..., 0].astype(float) - ground)
    centre = (weight * np.mgrid[:28, :28]).sum((1, 2)) / weight.sum()
    assert abs(centre - 13.5).max() < 0.1
    assert upright[0, 0, 0, 0] == ground


def test_deskew_leaves_what_is_upright_and_empty():
    upright = bar(0, at=(13.5, 13.5))
    assert abs(deskew(upright).astype(int) - upright).max() <= 1
    flat = np.full((2, 9, 14, 1), 77, np.uint8)
    assert (deskew(flat) == flat).all()
    with pytest.raises(ValueError, match="grey"):
        deskew(noise(1, 8, 8, 3))


def test_an_unknown_extractor_has_neighbours():
    with pytest.raises(UsageError, match="did you mean fine-hog"):
        extract("finehog", noise(1, 8, 8, 1))


# The cache


def counted(cache, key, value):
    calls = []

    def compute():
        calls.append(key)
        return {"a": np.full(4, value)}

    return cache.get(key, compute)["a"], len(calls)


def test_features_are_computed_once_for_the_same_content(monkeypatch):
    calls = []
    monkeypatch.setitem(EXTRACTORS, "pixels", lambda images: calls.append(1) or pixels(images))
    images = noise(4, 8, 8, 1)
    first = extract("pixels", images)
    assert extract("pixels", images.copy()) is first and len(calls) == 1
    images[0, 0, 0, 0] += 1
    assert extract("pixels", images)[0, 0] != first[0, 0] and len(calls) == 2
    extract("pixels", images.reshape(4, 4, 16, 1))
    assert len(calls) == 3  # the same bytes in another shape
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 5


def test_the_cache_forgets_the_oldest_beyond_its_limit():
    cache = Cache(limit=100)  # three arrays of 32 bytes
    for key in "abc":
        counted(cache, (key,), 1)
    assert counted(cache, ("a",), 1)[1] == 0  # used again: b is the oldest now
    counted(cache, ("d",), 1)
    assert [counted(cache, (key,), 1)[1] for key in "acd"] == [0, 0, 0]
    assert counted(cache, ("b",), 1)[1] == 1


def test_a_folder_serves_other_processes_and_survives_damage(tmp_path):
    first, second, third = Cache(), Cache(), Cache()
    for cache in (first, second, third):
        cache.folder = tmp_path / "cache"
    assert counted(first, ("x",), 7)[1] == 1
    array, calls = counted(second, ("x",), 7)
    assert calls == 0 and (array == 7).all()
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    array, calls = counted(third, ("x",), 8)
    assert calls == 1 and (array == 8).all()


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache()
    cache.folder = tmp_path / "file" / "cache"
    assert counted(cache, ("x",), 7)[1] == 1


def test_threads_are_not_needed_for_the_same_numbers():
    images = noise(300, 28, 28, 1)
    before = torch.get_num_threads()
    one = hog(images, cell=7)
    try:
        torch.set_num_threads(2)
        assert np.allclose(one, hog(images, cell=7), atol=1e-6)
    finally:
        torch.set_num_threads(before)
