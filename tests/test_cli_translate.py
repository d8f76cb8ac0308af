"""sparring translate: files and folders in, pictures and scores out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sparring
from sparring.cli import main
from sparring.errors import DataError
from sparring.games.players import Translator
from sparring.games.recipes import RECIPES
from sparring.games.training import new_state
from sparring.images import is_generated, load_image
from sparring.nets.layers import DataSpec
from sparring.nets.unet import UNet
from sparring.runs.translator import save_translators

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for i, size in enumerate([(20, 14), (16, 16), (9, 31)]):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(f"photos/{i}.png")


def model(name, channels=3):
    """A fresh model of a recipe, in the folder `name`."""
    recipe = RECIPES[name]
    thin = lambda spec: replace(spec, net=UNet(4)) if isinstance(spec, Translator) else spec  # noqa: E731
    players = tuple(replace(p, nets=tuple(thin(spec) for spec in p.nets)) for p in recipe.players)
    recipe, data_spec = replace(recipe, players=players), DataSpec(channels, 16, 16)
    state = new_state(recipe, data_spec)
    nets = {s.name: state.best(s.name) for s in recipe.nets.values() if isinstance(s, Translator)}
    save_translators(nets, recipe, data_spec, Path(name), recipe_name=name, source="", images=0)
    return name


def run(capsys, *tokens):
    code = main(["translate", *(str(token) for token in tokens)])
    return code, *capsys.readouterr()


def test_a_folder_of_photos_of_any_size_is_enlarged(capsys):
    code, out, _ = run(capsys, model("upscale"), "photos", "--out", "made", "--json")
    assert code == 0 and [row["made"] for row in json.loads(out)] == ["made/0.png", "made/1.png", "made/2.png"]
    assert load_image(Path("made/2.png")).shape == (18, 62, 3) and is_generated(Path("made/2.png"))
    code, _, err = run(capsys, "upscale", "photos", "--out", "made")
    assert code == 2 and "made" in err  # nothing is overwritten


def test_data_to_be_scored_on_say_which_column_is_the_label(capsys):
    Path("photos/labels.csv").write_text("file,dx,species\n0.png,a,x\n1.png,a,y\n2.png,b,y\n")
    code, _, err = run(capsys, model("upscale"), "photos", "--score")
    assert code == 3 and "several columns" in err and "--label dx" in err
    code, out, _ = run(capsys, "upscale", "photos", "--score", "--label", "dx")
    assert code == 0 and out.startswith("3 images, degraded and restored")


def test_images_of_the_same_name_do_not_overwrite_each_other(capsys):
    Path("more").mkdir()
    Image.open("photos/1.png").save("more/1.png")
    code, out, _ = run(capsys, model("restyle"), "photos/1.png", "more", "--json")
    assert code == 0 and [row["made"] for row in json.loads(out)] == ["translated/1.png", "translated/1-2.png"]


def test_a_hole_is_a_mask_or_transparent_pixels(capsys):
    model("inpaint")
    code, _, err = run(capsys, "inpaint", "photos/0.png")
    assert code == 2 and "photos/0.png has no transparent pixels" in err and not Path("translated").exists()

    pixels = np.dstack([load_image(Path("photos/0.png")), np.full((20, 14), 255, np.uint8)])
    pixels[4:9, 3:8, 3] = 0
    Image.fromarray(pixels).save("hole.png")
    assert run(capsys, "inpaint", "hole.png", "--out", "a")[0] == 0
    made, intact = load_image(Path("a/hole.png")), pixels[:, :, 3] > 0
    assert (made[intact] == pixels[intact][:, :3]).all() and (made[~intact] == 128).all()

    Path("masks").mkdir()
    Image.fromarray(np.where(intact, 0, 255).astype(np.uint8)).save("masks/0.png")
    for mask in ("masks", "masks/0.png"):
        out = f"out-{Path(mask).suffix or 'folder'}"
        assert run(capsys, "inpaint", "photos/0.png", "--mask", mask, "--out", out)[0] == 0
        assert (load_image(Path(out) / "0.png") == made).all()
    code, _, err = run(capsys, "inpaint", "photos/1.png", "--mask", "masks/0.png", "--out", "b")
    assert code == 2 and "came with a mask of 14x20 pixels" in err


def test_scores_stand_beside_what_needs_no_network(capsys):
    x = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    np.savez("photos.npz", images=x, labels=np.arange(12) % 2)
    code, out, _ = run(capsys, model("upscale"), "photos.npz", "--score", "--json", "--out", "scored")
    plain, made = json.loads(out)
    assert code == 0 and plain["images"] == 12 and 5 < plain["psnr"] < 30
    assert made["psnr"] == plain["psnr"] and made["ssim"] == plain["ssim"]  # a fresh network adds nothing
    assert Path("scored/restored.png").exists()
    code, out, _ = run(capsys, "upscale", "photos.npz", "--score")
    assert out.startswith("12 images, degraded and restored\n") and f"{plain['psnr']:.2f}" in out
    code, _, err = run(capsys, model("pix2pix"), "photos.npz", "--score")
    assert code == 2 and "intact images do not say" in err


def test_what_cannot_be_translated(capsys):
    model("restyle", channels=1)
    code, _, err = run(capsys, "restyle", "photos.npz", "--score")
    assert code == 3
    Path("broken.png").write_bytes(b"\x89PNG\r\n")
    code, _, err = run(capsys, "restyle", "broken.png")
    assert code == 3 and "cannot read broken.png" in err
    code, _, err = run(capsys, "restyle", "nowhere.png")
    assert code == 3 and "nowhere.png does not exist" in err
    code, _, err = run(capsys, "photos", "photos")
    assert code == 4 and "photos" in err


def corner(top, left):
    """A mask of 16 x 16 pixels that is white in one corner."""
    values = np.zeros((16, 16), np.uint8)
    values[top : top + 8, left : left + 8] = 255
    return Image.fromarray(values)


def test_every_image_is_filled_by_its_own_mask(capsys):
    model("inpaint")
    for folder in ("in", "masks"):
        Path(folder).mkdir()
    places = {"a.png": (0, 0), "a.jpg": (8, 8), "photo[1].png": (0, 8), "b.gif": (8, 0)}
    masks = {"a.png": "a.png", "a.jpg": "a.jpg", "photo[1].png": "photo[1].jpg", "b.gif": "b.gif.png"}
    for name, place in places.items():
        Image.fromarray(np.full((16, 16, 3), 250, np.uint8)).save(f"in/{name}")
        corner(*place).save(f"masks/{masks[name]}")
    code, out, _ = run(capsys, "inpaint", "in", "--mask", "masks", "--out", "made", "--json")
    rows = {Path(row["image"]).name: row["made"] for row in json.loads(out)}
    assert code == 0 and rows["a.jpg"] == "made/a.jpg.png" and rows["a.png"] == "made/a.png"
    for name, (top, left) in places.items():
        filled = load_image(Path(rows[name]))[..., 0] < 200
        assert filled.sum() == 64 and filled[top : top + 8, left : left + 8].all(), name


def test_what_cannot_be_filled_is_left_out_and_its_mask_named(capsys):
    model("inpaint")
    Path("masks").mkdir()
    for name in ("0.png", "1.gif", "1.bmp"):
        Image.new("L", (14, 20) if name == "0.png" else (16, 16), 255).save(f"masks/{name}")
    Image.open("photos/0.png").save("photos/0.gif")  # the mask 0.png is that of 0.png
    Path("photos/notes.txt").write_text("x")
    code, out, err = run(capsys, "inpaint", "photos", "--mask", "masks", "--json")
    assert code == 0 and [row["image"] for row in json.loads(out) if "made" in row] == ["photos/0.png"]
    lines = dict(line.removeprefix("left out ").split(": ", 1) for line in err.splitlines())
    assert list(lines) == [f"photos/{name}" for name in ("0.gif", "1.png", "2.png", "notes.txt")]
    assert "no mask for photos/0.gif: there is no masks/0.gif, nor masks/0 with another ending" in lines["photos/0.gif"]
    assert "it may be masks/1.bmp or masks/1.gif" in lines["photos/1.png"]
    assert "not an image" in lines["photos/notes.txt"]
    assert [row["image"] for row in json.loads(out) if "error" in row] == list(lines)
    code, _, err = run(capsys, "inpaint", "photos/2.png", "--mask", "masks", "--out", "b")
    assert code == 3 and len(err.splitlines()) == 1 and "Fix: give the mask the name of its image" in err
    with pytest.raises(DataError, match="no mask for photos/2.png"):
        sparring.translate("inpaint", "photos/2.png", mask="masks")
    assert len(sparring.translate("inpaint", ["photos/0.png"], mask="masks")) == 1
