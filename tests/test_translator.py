"""Translators: what they are given, what they give back, how they are kept."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from toys import FACTS, pools

from sparring.data import load
from sparring.errors import DataError, FileFormatError, UsageError
from sparring.games.degradations import Grey, Hole, Shrunk
from sparring.games.players import Translator
from sparring.games.recipes import RECIPES
from sparring.games.training import new_state
from sparring.images import save_png
from sparring.nets.layers import DataSpec
from sparring.nets.unet import UNet
from sparring.runs import translator
from sparring.runs.translating import translate
from sparring.runs.translator import Translating, load_translators, made_from, preview, save_translators, tiled

COLOUR = DataSpec(3, 16, 12, 0)
rng = np.random.default_rng(0)


def noise(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


class Doubles(nn.Module):
    """A body whose answer is known: twice its first three channels."""

    def forward(self, x):
        return 2 * x[:, :3]


def model(source, net=None, spec=Translator(net=UNet(4))):
    return Translating({"G": net or spec.build(COLOUR).eval()}, {"G": spec}, {"G": source}, COLOUR)


@pytest.mark.parametrize("shape", [(16, 12), (13, 9), (40, 7)])
def test_a_photo_of_any_size_keeps_it_and_grows_where_the_model_sharpens(shape):
    image = noise(*shape, 3)
    assert model(Grey()).translate(image).shape == (*shape, 3)
    assert model(Shrunk(factor=3)).translate(image).shape == (3 * shape[0], 3 * shape[1], 3)


@pytest.mark.parametrize("residual", [False, True])
def test_an_image_that_came_out_all_black_can_still_become_white(residual):
    """L1 first makes images of strokes all black; an output that saturates there would stay so."""
    net = Translator(net=UNet(4), residual=residual).build(FACTS)
    bias = net.body.last.bias
    nn.init.constant_(bias, -20.0)
    (1 - net(torch.zeros(2, 1, 12, 10))).abs().mean().backward()
    assert bias.grad.item() == pytest.approx(-1.0)


def test_a_fresh_residual_network_is_the_baseline():
    """The last layer starts at zero, so nothing is added: what comes out is the bicubic or grey image itself."""
    fresh = model(Shrunk(factor=2), spec=Translator(net=UNet(4), residual=True))
    images = noise(5, 16, 12, 3)
    undone = fresh.undone(images)
    assert (undone["made"] == undone["baseline"]).all() and (undone["source"] == undone["baseline"]).all()
    flat = np.full((1, 16, 12, 3), 77, np.uint8)
    assert (fresh.undone(flat)["made"] == 77).all()
    grey = model(Grey(), spec=Translator(net=UNet(4), residual=True)).undone(images)["made"]
    luma = np.rint(images @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(grey[..., 0] - luma).max() <= 1 and (grey[..., 0] == grey[..., 2]).all()


def test_what_is_not_missing_stays_and_what_is_missing_is_made():
    image, mask = noise(16, 12, 3), np.zeros((16, 12), bool)
    mask[3:9, 2:7] = True
    made = model(Hole(), spec=Translator(net=UNet(4), mask=True)).translate(image, mask=mask)
    assert (made[~mask] == image[~mask]).all()
    assert np.abs(made[mask].astype(int) - 128).max() <= 1  # a fresh network makes grey


def test_the_baseline_of_a_hole_is_the_mean_of_what_is_known():
    images = noise(4, 16, 12, 3)
    undone = model(Hole(), spec=Translator(net=UNet(4), mask=True)).undone(images, seed=3)
    for image, source, filled in zip(images, undone["source"], undone["baseline"], strict=True):
        missing = (source != image).any(2)
        known = (source == image).all(2)
        mean = image[known].reshape(-1, 3).mean(0)
        assert missing.sum() >= 8 and np.abs(filled[missing] - mean).max() <= 1.5
    again = model(Hole(), spec=Translator(net=UNet(4), mask=True)).undone(images[:2], seed=3)
    assert (again["source"] == undone["source"][:2]).all()  # the holes of an image are its own


def test_images_reach_the_network_in_minus_one_to_one():
    image = np.full((4, 4, 3), 191, np.uint8)  # 0.498: doubled it is 0.996
    made = model(Grey(), net=Doubles()).translate(image)
    assert abs(int(made[0, 0, 0]) - round((2 * (191 / 127.5 - 1) + 1) * 127.5)) <= 1


def test_refusals_say_what_to_do():
    inpaint = model(Hole(), spec=Translator(net=UNet(4), mask=True))
    with pytest.raises(UsageError, match=r"an image of 12x16 pixels came with no mask\. Fix: pass a mask of its size"):
        inpaint.translate(noise(16, 12, 3))
    with pytest.raises(UsageError, match="came with a mask of 5x4 pixels"):
        inpaint.translate(noise(16, 12, 3), mask=np.ones((4, 5), bool))
    with pytest.raises(DataError, match=r"takes colour images\. Fix: convert the image to colour"):
        inpaint.translate(noise(16, 12, 1), mask=np.ones((16, 12), bool))
    pix2pix = model(made_from(RECIPES["pix2pix"], "G"))
    with pytest.raises(UsageError, match="intact images do not say what it should have made"):
        pix2pix.undone(noise(2, 16, 12, 3))


def thin(name):
    """The recipe with a narrow U-Net."""
    narrow = lambda spec: replace(spec, net=UNet(4)) if isinstance(spec, Translator) else spec  # noqa: E731
    recipe = RECIPES[name]
    players = tuple(replace(p, nets=tuple(narrow(spec) for spec in p.nets)) for p in recipe.players)
    return replace(recipe, players=players)


@pytest.mark.parametrize("name", ["inpaint", "upscale", "upscale-4x", "restyle", "pix2pix", "cyclegan"])
def test_a_model_folder_gives_the_same_images_back(tmp_path, name):
    recipe = thin(name)
    state = new_state(recipe, FACTS)
    nets = {s.name: state.best(s.name).eval() for s in recipe.nets.values() if isinstance(s, Translator)}
    for net in nets.values():  # else the last layer is zero and every network alike
        nn.init.normal_(net.body.last.weight)
    folder = save_translators(nets, recipe, FACTS, tmp_path / "model", recipe_name=name, source="x", images=5)
    loaded = load_translators(tmp_path)
    image, mask = noise(14, 9, 1), rng.random((14, 9)) < 0.5
    for to in loaded.kinds:
        before = Translating(nets, loaded.specs, loaded.sources, FACTS).translate(image, mask=mask, to=to)
        assert (loaded.translate(image, mask=mask, to=to) == before).all()
        assert before.shape[:2] == {"upscale": (28, 18), "upscale-4x": (56, 36)}.get(name, (14, 9))
    if name == "cyclegan":
        assert list(loaded.kinds) == ["a", "b"]
        assert (loaded.translate(image, to="a") != loaded.translate(image, to="b")).any()
        with pytest.raises(UsageError, match="direction"):
            loaded.translate(image, to="c")
    assert "Mark its pictures as generated" in (folder / "README.md").read_text()
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(FileFormatError, match="is damaged"):
        load_translators(folder)


@pytest.mark.parametrize("name", ["inpaint", "upscale"])
@pytest.mark.parametrize(("height", "width"), [(75, 130), (64, 97), (20, 150)])
def test_a_large_image_in_pieces_is_the_same(name, height, width):
    recipe = thin(name)
    net = new_state(recipe, FACTS, dtype=torch.float64).nets["G"].eval()
    nn.init.normal_(net.body.last.weight)
    seen, forward = [], net.body.forward
    net.body.forward = lambda x: (seen.append(x.shape), forward(x))[1]
    x = torch.rand(2, 1 + recipe.nets["G"].mask, height, width, dtype=torch.float64)
    whole = net(x)
    made = tiled(net, x, 32)
    assert len(seen) == 1 + -(-height // 32) * -(-width // 32)
    assert max(shape[3] for shape in seen[1:]) <= 32 + 2 * 32
    assert (made - whole).abs().max() < 1e-9
    with mock.patch.object(translator, "REACH", 2):
        assert (tiled(net, x, 32) - whole).abs().max() > 1e-9


def test_a_generator_is_no_translator(tmp_path):
    (tmp_path / "config.json").write_text('{"kind": "generator"}')
    with pytest.raises(FileFormatError, match="holds no translator"):
        load_translators(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "translator", "format": 1}')
    with pytest.raises(FileFormatError, match="has version 1 of the format, this is version 2.* Fix: train it again"):
        load_translators(tmp_path)


@pytest.mark.parametrize(("name", "rows"), [("inpaint", 3), ("pix2pix", 3), ("cyclegan", 4)])
def test_the_preview_shows_sources_and_what_is_made_of_them(name, rows):
    recipe, data = thin(name), pools()
    state = new_state(recipe, FACTS)
    shown = preview(recipe, state, data, count=5)
    assert shown.shape == (5 * rows, FACTS.height, FACTS.width, 1)
    assert (shown == preview(recipe, state, data, count=5)).all()
    if name == "inpaint":
        source, made, target = shown[:5], shown[5:10], shown[10:]
        assert (source != target).any((1, 2, 3)).all() and ((made == target) | (source == 128)).all()


def test_every_translator_knows_what_it_starts_from():
    assert isinstance(made_from(RECIPES["inpaint"], "G"), Hole)
    assert made_from(RECIPES["cyclegan"], "G_a").pool == "b"
    assert torch.is_tensor(next(new_state(thin("upscale"), FACTS).nets["G"].parameters()))


def pair_folders(tmp_path, suffix=".png"):
    from PIL import Image

    for kind in ("photos", "sketches"):
        (tmp_path / kind).mkdir()
        for i in range(6):
            name = f"{i}{suffix if kind == 'sketches' else '.png'}"
            Image.fromarray(noise(16, 16, 3)).save(tmp_path / kind / name)
    return load(tmp_path / "photos"), load(tmp_path / "sketches")


def test_pairs_are_matched_by_file_name_whatever_the_ending(tmp_path):
    from sparring.data import paired

    photos, sketches = pair_folders(tmp_path, ".bmp")
    shuffled = sketches.take(np.array([3, 1, 5, 0, 4]))
    targets, sources = paired(photos, shuffled)
    assert [o.split(".")[0] for o in targets.origins] == [o.split(".")[0] for o in sources.origins]
    assert sorted(o[0] for o in targets.origins) == ["0", "1", "3", "4", "5"]
    renamed = replace(sketches, origins=tuple(f"x{i}.png" for i in range(6)))
    with pytest.raises(DataError, match="no image of sketches has the name of one of photos"):
        paired(photos, renamed)


def test_sources_are_made_alike_or_refused(tmp_path):
    from sparring.data.pairs import matching_channels

    photos, sketches = pair_folders(tmp_path)
    grey = replace(sketches, images=sketches.images[..., :1])
    same = matching_channels(grey, photos)
    assert (same.images == grey.images).all() and same.shape[2] == 3
    with pytest.raises(DataError, match="their colours would be lost"):
        matching_channels(photos, grey)
    with pytest.raises(DataError, match=r"Fix: use --size 16x8"):
        matching_channels(photos, replace(sketches, images=sketches.images[:, :, :8]))


def test_translate_in_python_takes_files_folders_and_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = thin("upscale")
    nets = {s.name: new_state(recipe, FACTS).best(s.name) for s in recipe.nets.values() if isinstance(s, Translator)}
    save_translators(nets, recipe, FACTS, tmp_path / "model", recipe_name="upscale", source="x", images=5)
    images = [noise(14, 9, 1), noise(6, 8, 1)]
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(images):
        save_png(tmp_path / "photos" / f"{number}.png", image)
    made = translate("model", images, out="made")
    assert [image.shape for image in made] == [(28, 18, 1), (12, 16, 1)]
    for source in ("photos", sorted((tmp_path / "photos").iterdir()), np.stack(images[:1])):
        again = translate(load_translators("model"), source)
        assert all(np.array_equal(a, b) for a, b in zip(again, made, strict=False)) and again
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["00000.png", "00001.png"]
    hole = thin("inpaint")
    nets = {s.name: new_state(hole, FACTS).best(s.name) for s in hole.nets.values() if isinstance(s, Translator)}
    save_translators(nets, hole, FACTS, tmp_path / "hole", recipe_name="inpaint", source="x", images=5)
    mask = np.zeros((14, 9), bool)
    mask[2:5, 2:5] = True
    (filled,) = translate("hole", images[0], mask=mask)
    assert (filled[~mask] == images[0][~mask]).all()
    with pytest.raises(UsageError, match="no mask"):
        translate("hole", images[0])
