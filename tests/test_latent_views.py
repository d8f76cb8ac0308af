"""Looking inside a generator: every strip ends where it says, directions are those of an eigen decomposition."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training import THIN
from toys import FACTS, striped

from sparring.cli import main
from sparring.data import load
from sparring.errors import FileFormatError, UsageError
from sparring.games.constraints import SpectralNorm
from sparring.games.players import Generator
from sparring.images import is_generated, load_image, save_animation, save_png
from sparring.nets.dcgan import DCGAN
from sparring.nets.layers import DataSpec
from sparring.nets.mlp import MLP
from sparring.nets.r3gan import R3GAN
from sparring.nets.resnet import ResNet
from sparring.nets.salimans2016 import VirtualBatchNorm
from sparring.runs import driver, latent_views
from sparring.runs.sampler import Sampler, draw, truncated


def sampler(net=MLP(widths=(32,)), classes=("a", "b", "c"), data_spec=FACTS, **takes) -> Sampler:
    torch.manual_seed(0)
    spec = Generator(net=net, z=takes.pop("z", 16), **takes)
    G = spec.build(data_spec)
    for layer in G.modules():  # a new DCGAN is all grey; here images differ
        if isinstance(layer, torch.nn.Linear | torch.nn.ConvTranspose2d) and not isinstance(
            spec.constraint, SpectralNorm
        ):
            torch.nn.init.normal_(layer.weight, 0.0, 0.3)
    return Sampler(G.eval(), spec, data_spec, classes)


PLAIN, LABELLED = sampler(), sampler(labels=True)
CODED = sampler(codes=4, continuous=2)


# Drawing


def test_an_image_depends_on_its_number_alone():
    for found in (PLAIN, LABELLED, CODED):
        images = found.draw(9)
        assert images.shape == (9, 12, 10, 1) and images.dtype == np.uint8
        assert np.array_equal(images[:4], found.draw(4))
        assert np.array_equal(images[5:], found.draw(4, first=5))
        assert np.array_equal(images, draw(found.G, found.spec, 9, key=0, batch=2))
        assert not np.array_equal(images, found.draw(9, seed=1))


def test_classes_and_codes_come_in_turn_unless_they_are_chosen():
    context = np.arange(6) % 3
    assert np.array_equal(LABELLED.draw(6), LABELLED.draw(6, labels=context))
    assert not np.array_equal(LABELLED.draw(6), LABELLED.draw(6, labels=(context + 1) % 3))
    assert np.array_equal(CODED.draw(6), CODED.draw(6, codes=np.arange(6) % 4))
    points = CODED.latents(200)
    assert points.codes.sum(0).tolist() == [50] * 4 and points.classes.shape == (200, 0)
    assert points.continuous.shape == (200, 2) and points.continuous.abs().max() <= 1 and points.continuous.std() > 0.5
    z, codes, continuous = points.z[:5], points.codes[:5].argmax(1), points.continuous[:5]
    with torch.no_grad():  # the network's own way of joining them
        made = CODED.G(z, codes, continuous).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(made, CODED.draw(5))


def test_what_a_generator_lacks_is_refused():
    for ask in (
        lambda: PLAIN.label("a"),
        lambda: latent_views.class_walk(PLAIN, 0, 1),
        lambda: latent_views.by_class(PLAIN),
    ):
        with pytest.raises(UsageError, match="without labels"):
            ask()
    with pytest.raises(UsageError, match="has no codes"):
        PLAIN.draw(3, codes=np.zeros(3))
    with pytest.raises(UsageError, match="no sliders"):
        latent_views.by_slider(PLAIN)
    with pytest.raises(UsageError, match="no code 4. Fix: choose one from 0 to 3"):
        CODED.code(4)


def test_truncated_noise_is_normal_noise_drawn_again_until_it_is_inside():
    z = PLAIN.latents(4000).z.double()
    for limit in (0.3, 1.0, 2.0):
        found = truncated(z, limit).flatten()
        assert found.abs().max() <= limit
        again = torch.randn(400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        again = again[again.abs() <= limit]
        ranks = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
        assert (found.quantile(ranks) - again.quantile(ranks)).abs().max() < 0.02 * limit
    assert (truncated(z, 9.0) - z).abs().max() < 1e-6
    assert (truncated(z, 0.5).flatten().argsort() == z.flatten().argsort()).all(), "every value keeps its rank"
    assert np.array_equal(PLAIN.draw(3, truncation=30.0), PLAIN.draw(3))
    rows = latent_views.truncations(PLAIN, (0.3, None), 5)
    assert np.array_equal(rows[1], PLAIN.draw(5)) and np.array_equal(rows[0], PLAIN.draw(5, truncation=0.3))
    assert rows[0].std(0).mean() < rows[1].std(0).mean(), "a low limit makes images alike"


# Strips


def test_the_arc_between_two_noises():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 64, generator=g), 2 * torch.randn(5, 64, generator=g)
    assert torch.allclose(latent_views.slerp(a, b, 0.0), a, atol=1e-5) and torch.allclose(
        latent_views.slerp(a, b, 1.0), b, atol=1e-5
    )
    for t in (0.25, 0.5, 0.8):
        middle = latent_views.slerp(a, b, t)
        assert torch.allclose(middle.norm(dim=1), (1 - t) * a.norm(dim=1) + t * b.norm(dim=1), rtol=1e-5)
        angle = torch.cosine_similarity(a, b).acos()
        assert torch.allclose(torch.cosine_similarity(a, middle).acos(), t * angle, atol=1e-4)
        assert (a.lerp(b, t).norm(dim=1) < middle.norm(dim=1)).all(), "the straight line is shorter noise"
    assert torch.allclose(latent_views.slerp(a, 3 * a, 0.5), 2 * a, atol=1e-4), "where there is no angle"


def test_strips_begin_and_end_at_the_images_they_name():
    strips = latent_views.interpolation(LABELLED, 3, 5, seed=7)
    assert strips.shape == (3, 5, 12, 10, 1)
    ends = LABELLED.draw(6, seed=7, labels=np.repeat([0, 1, 2], 2))
    assert np.array_equal(strips[:, 0], ends[::2]) and np.array_equal(strips[:, -1], ends[1::2])
    assert not np.array_equal(strips[:, 2], strips[:, 0])
    assert np.array_equal(latent_views.interpolation(LABELLED, 2, 5, seed=7), strips[:2])
    fixed = latent_views.interpolation(LABELLED, 2, 3, labels=np.array([2, 2]))
    assert np.array_equal(fixed[:, 0], LABELLED.draw(4, labels=np.full(4, 2))[::2])


def test_a_walk_goes_from_class_to_class_at_fixed_noise():
    strips = latent_views.class_walk(LABELLED, 0, 2, 4, 5, seed=3)
    for end, label in ((0, 0), (-1, 2)):
        assert np.array_equal(strips[:, end], LABELLED.draw(4, labels=np.full(4, label), seed=3))
    points = LABELLED.latents(4, seed=3)
    half = torch.tensor([0.5, 0.0, 0.5]).expand(4, 3)
    with torch.no_grad():
        made = LABELLED.G.body(torch.cat([points.z, half], 1)).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1)
    assert np.array_equal(strips[:, 2], made.numpy())


def test_classes_codes_and_sliders():
    rows = latent_views.by_class(LABELLED, 4, seed=2)
    assert rows.shape[:2] == (3, 4)
    assert all(np.array_equal(rows[k], LABELLED.draw(4, labels=np.full(4, k), seed=2)) for k in range(3))
    rows = latent_views.by_code(CODED, 4)
    assert rows.shape[:2] == (4, 4) and np.array_equal(rows[1], CODED.draw(4, codes=np.full(4, 1)))
    strips = latent_views.by_slider(CODED, 2, 5)
    assert strips.shape[:2] == (4, 5)
    points = CODED.latents(2)
    for row in range(4):
        slider, image = divmod(row, 2)
        for step, value in ((0, -1.0), (2, 0.0), (4, 1.0)):
            continuous = points.continuous[image : image + 1].clone()
            continuous[0, slider] = value
            with torch.no_grad():
                x = CODED.G(points.z[image : image + 1], points.codes[image : image + 1].argmax(1), continuous)
            expected = x.add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()[0]
            assert np.array_equal(strips[row, step], expected), (row, step)


# Directions


@pytest.mark.parametrize("net", [MLP(widths=(32,)), DCGAN(width=8), R3GAN(width=8), VirtualBatchNorm(DCGAN(width=8))])
def test_directions_are_those_that_the_first_layer_stretches_most(net):
    found = sampler(net, labels=True)
    first = {"R3GAN": "first", "MLP": "0", "DCGAN": "0", "VirtualBatchNorm": "body.0"}[type(net).__name__]
    A = found.G.body.get_submodule(first).weight[:, :16].double().detach().numpy()  # without the columns of labels
    values, vectors = np.linalg.eigh(A.T @ A)
    mine, directions = latent_views.directions(found.G, found.spec)
    assert np.allclose(mine, values[::-1], atol=1e-9) and directions.shape == (16, 16)
    assert np.allclose(np.abs((directions.numpy() * vectors.T[::-1]).sum(1)), 1, atol=1e-6), "the same up to sign"
    stretched = np.linalg.norm(A @ directions[0].numpy())
    others = np.random.default_rng(0).normal(size=(200, 16))
    assert (stretched >= np.linalg.norm(A @ (others / np.linalg.norm(others, axis=1, keepdims=True)).T, axis=0)).all()


@pytest.mark.parametrize("constraint", [SpectralNorm(), Generator().constraint])
def test_directions_of_noise_that_reaches_every_block(constraint):
    """Moving the noise along n changes what all layers that read it give by |A n|, measured on the network itself."""
    layered = ResNet(width=8, layered=True)
    found = sampler(layered, labels=True, z=17, constraint=constraint, data_spec=DataSpec(1, 16, 16, 3))  # two blocks
    values, directions = latent_views.directions(found.G, found.spec)
    body, read = found.G.body, {}
    norms = [norm for up in body.ups for norm in (up.norm1, up.norm2)]
    layers = [body.first, *(layer for norm in norms for layer in (norm.scale, norm.shift))]
    for layer in layers:
        layer.register_forward_hook(lambda layer, _, out: read.setdefault(layer, []).append(out))
    start = found.latents(1)
    for n in directions[:5].float():
        for z in (start.z, start.z + n):
            body(torch.cat([z, start.classes], 1))
    for k in range(5):
        change = sum((read[layer][2 * k + 1] - read[layer][2 * k]).double().square().sum() for layer in layers)
        assert change.item() == pytest.approx(values[k].item(), rel=1e-3)
    assert np.allclose(directions @ directions.T, np.eye(17), atol=1e-8)


def test_direction_strips_hold_the_image_in_their_middle():
    strips = latent_views.direction_strips(PLAIN, 3, 5, reach=2.0)
    assert strips.shape[:2] == (3, 5)
    assert all(np.array_equal(row[2], PLAIN.draw(1)[0]) for row in strips)
    n = latent_views.directions(PLAIN.G, PLAIN.spec)[1][1].float()
    with torch.no_grad():
        end = PLAIN.G(PLAIN.latents(1).z + 2 * n).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1)
    assert np.array_equal(strips[1, 4], end.numpy()[0])
    assert len(latent_views.direction_strips(PLAIN, 40, 3)) == 16, "there are no more than the noise has numbers"


# Beside real images


@pytest.mark.parametrize("chunk", [7, latent_views.CHUNK])
def test_the_nearest_by_brute_force(monkeypatch, chunk):
    training, images = striped(60, seed=1)[0].numpy(), striped(9, seed=2)[0].numpy()
    monkeypatch.setattr(latent_views, "CHUNK", chunk * training[0].size)
    index, distance = latent_views.nearest_images(images, training, 3, by="pixels")
    far = np.sqrt(((images[:, None] / 127.5 - training[None] / 127.5) ** 2).sum((2, 3, 4)))
    assert np.array_equal(index, far.argsort(1, kind="stable")[:, :3])
    assert np.allclose(distance, np.sort(far, 1)[:, :3], rtol=1e-4)
    index, distance = latent_views.nearest_images(training[10:20], training, 2)
    assert np.array_equal(index[:, 0], np.arange(10, 20)) and np.allclose(distance[:, 0], 0)
    index, _ = latent_views.nearest_images(training[10:20], training, 1, but=np.arange(10, 20))
    assert not (index[:, 0] == np.arange(10, 20)).any()


def test_features_know_an_image_that_was_moved():
    training = load("digits").images[:500]
    moved = np.roll(training[:40], 1, axis=2)
    by_features, by_pixels = (
        (latent_views.nearest_images(moved, training, 5, by=by)[0] == np.arange(40)[:, None]).any(1).mean()
        for by in ("features", "pixels")
    )
    assert by_features > by_pixels


def test_copies_are_near():
    training = load("digits").images
    assert latent_views.closeness(training[::40], training) == 0
    assert 0.8 < latent_views.closeness(training[:300], training[300:]) < 1.3
    assert latent_views.closeness(255 - training[::40], training) > 2
    twice = np.concatenate([training[:300], training[:300]])
    once = latent_views.closeness(training[300:400], training[:300], sample=300)
    assert latent_views.closeness(training[300:400], twice, sample=600) == pytest.approx(once, rel=1e-4), (
        "a copy is no other image"
    )
    assert latent_views.closeness(training[:3], training[:1].repeat(9, 0)) is None


# Pictures, films, files


def test_pictures_and_films(tmp_path):
    strips = latent_views.by_class(LABELLED, 4)
    assert latent_views.strip_sheet(strips).shape == (3 * 62 + 2, 4 * 52 + 2, 1)
    film = latent_views.film_frames(strips)
    assert len(film) == 6 and np.array_equal(film[1], film[5]) and not np.array_equal(film[0], film[3])
    for name in ("a.webp", "b.gif"):
        save_animation(tmp_path / name, film, generated=True)
        assert is_generated(tmp_path / name)
        assert np.array_equal(load_image(tmp_path / name, channels=1), film[0])
        save_animation(tmp_path / name, film)
        assert not is_generated(tmp_path / name)
    with pytest.raises(UsageError, match="a.mp4 does not end in .webp or .gif"):
        save_animation(tmp_path / "a.mp4", film)
    assert len(latent_views.training_frames(tmp_path)) == 0


def test_all_views_of_a_run(tmp_path):
    found, real = sampler(labels=True, codes=3, continuous=1), striped(50)[0].numpy()
    (tmp_path / "samples").mkdir()
    for at in (0, 64):
        save_png(
            tmp_path / f"samples/images-{at:09d}.png",
            latent_views.strip_sheet(latent_views.by_class(found, 8, seed=at)),
        )
    assert not latent_views.views_are_current(found, tmp_path)
    latent_views.save_views(found, tmp_path, training=real)
    assert latent_views.views_are_current(found, tmp_path)
    told = json.loads((tmp_path / "inside/views.json").read_text())["views"]
    names = [row["name"] for row in told]
    assert names == "classes codes sliders interpolation walk directions truncation nearest".split()
    for row in told:
        rows, columns = row["shape"]
        assert load_image(tmp_path / "inside" / row["file"]).shape[:2] == (rows * 62 + 2, columns * 52 + 2)
        assert len(row["rows"]) in (0, rows) and len(row["columns"]) in (0, columns), row["name"]
        assert is_generated(tmp_path / "inside" / row["file"])
    assert is_generated(tmp_path / "inside/training.webp")
    with torch.no_grad():
        next(found.G.parameters()).mul_(1.1)
    assert not latent_views.views_are_current(found, tmp_path), "another generator"


# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a conditional generator on digits, one of InfoGAN, for a few rounds."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("cgan", "infogan"):
        driver.train("digits", THIN[name], folder / name, images=256, precision="fp32", monitor=False)
    return folder


def typed(capsys, *tokens):
    code = main([str(token) for token in tokens])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("options", "images"),
    [
        ("cgan -n 5", 5),
        ("cgan -n 4 --class 3 --truncation 0.5", 4),
        ("cgan --interpolate 5 -n 10", 10),
        ("cgan --walk 3:8 -n 18", 18),
        ("cgan --directions 2 --columns 5 --class 1", 10),
        ("cgan --truncation 0.3,1,2 -n 4", 12),
        ("infogan --code 3 -n 4", 4),
        ("infogan --interpolate 4 -n 8", 8),
    ],
)
def test_sample(capsys, run, tmp_path, monkeypatch, options, images):
    monkeypatch.chdir(tmp_path)
    name, *options = options.split()
    code, out, err = typed(capsys, "sample", run / name, *options, "--json")
    told = json.loads(out)
    assert code == 0 and told["images"] == images, err
    assert is_generated(told["grid"])
    code, out, _ = typed(capsys, "sample", run / name, *options, "--out", "files")
    assert code == 0 and len(list((tmp_path / "files").iterdir())) == images and f"{images} images: files" in out


def test_sample_makes_films(capsys, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.gif", "b.webp"):
        for options in ((), ("--interpolate", 4, "-n", 8)):
            code, out, err = typed(capsys, "sample", run / "cgan", *options, "--animate", name)
            assert code == 0 and name in out and is_generated(name), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "b.webp"]


def test_nearest_images_say_which_column_is_the_label(capsys, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{i}.png" for i in range(6)]
    Path("seen").mkdir()
    for name, image in zip(names, load("digits").images, strict=False):
        save_png(Path("seen") / name, image)
    Path("seen/labels.csv").write_text("\n".join(["file,dx,species", *(f"{n},{'ab'[i % 2]},{'xy'[i // 3]}"
                                                                        for i, n in enumerate(names))]))  # fmt: skip
    for command in ("sample", "report"):
        code, _, err = typed(capsys, command, run / "infogan", "--nearest", "seen")
        assert code == 3 and "several columns" in err
        code, out, _ = typed(capsys, command, run / "infogan", "--nearest", "seen", "--label", "dx", "--json")
        assert code == 0 and (command == "report" or {r["nearest"] for r in json.loads(out)["nearest"]} <= set(names))


def test_sample_beside_real_images(capsys, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = typed(capsys, "sample", run / "infogan", "--nearest", "digits", "-n", 3, "--json")
    told = json.loads(out)
    digits = load("digits")
    index, distance = latent_views.nearest_images(load_strip(told["grid"], 3), digits.images, 1)
    assert code == 0 and [row["nearest"] for row in told["nearest"]] == [digits.origins[i] for i in index[:, 0]]
    assert [row["distance"] for row in told["nearest"]] == pytest.approx(distance[:, 0].tolist(), rel=1e-5)
    assert told["closeness"] > 0.5 and not math.isnan(told["closeness"])
    code, out, _ = typed(capsys, "sample", run / "infogan", "--nearest", "digits", "-n", 3)
    assert code == 0 and "near 0: copies" in out and told["nearest"][0]["nearest"] in out


def load_strip(path, count):
    """The first row of a sheet of 8x8 images, each shown 6 times as large."""
    row = load_image(path)[2:50]
    return np.stack([row[::6, 2 + 50 * k : 50 + 50 * k : 6] for k in range(count)])


def test_views_are_refreshed_where_they_are_not_current(run, tmp_path):
    folder, views = tmp_path / "run", tmp_path / "run/inside/views.json"
    shutil.copytree(run / "cgan", folder)
    latent_views.refresh_views(folder)
    written = json.loads(views.read_text())
    assert written["views"][-1]["name"] == "nearest", "digits are known"
    views.write_text(json.dumps({"generator": written["generator"]}))
    latent_views.refresh_views(folder)
    assert "views" not in json.loads(views.read_text()), "nothing to do"
    latent_views.refresh_views(folder, "digits")
    assert json.loads(views.read_text()) == written
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": {"kind": "Translator"}}))
    latent_views.refresh_views(tmp_path)
    assert not (tmp_path / "inside").exists(), "no generator"
    (folder / "model/config.json").write_text("{}")
    with pytest.raises(FileFormatError):
        latent_views.refresh_views(folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("cgan --walk 3:x", "unknown class 'x'"),
        ("cgan --walk 3", "--walk 3 names no two classes. Fix: write two with a colon, such as 3:8"),
        ("cgan --code 2", "this generator has no codes"),
        ("infogan --code 11", "there is no code 11. Fix: choose one from 0 to 9"),
        ("infogan --walk 1:2", "trained without labels"),
        ("infogan --per-class 2 --out q", "trained without labels"),
        ("cgan --walk 1:2 --interpolate 3", "--interpolate and --walk are two pictures"),
        ("cgan --truncation 1,2 --directions 3", "--directions and --truncation are two pictures"),
        ("cgan --walk 1:2 --class 3", "--walk names its classes itself"),
        ("cgan --truncation 0", "--truncation 0 is not one or several numbers"),
        ("cgan --animate a.mp4", "a.mp4 does not end in .webp or .gif"),
        ("cgan --nearest nowhere", "nowhere does not exist"),
        ("cgan/model --animate a.gif", "has no samples of its training"),
        ("cgan/model --inside", "is no run folder"),
    ],
)
def test_sample_says_what_is_wrong(capsys, run, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    name, *options = options.split()
    code, out, err = typed(capsys, "sample", run / name, *options)
    assert code in (2, 3) and not out and said in err and "Fix: " in err, err
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_translators_have_no_noise_to_draw_from(capsys, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": {"kind": "Translator"}}))
    code, _, err = typed(capsys, "sample", tmp_path)
    assert code == 2 and "has no noise to draw from" in err and "sparring translate" in err
