"""sparring translate: images through a trained translator."""

from pathlib import Path

from ..data.formats import source_words
from ..errors import DataError, UsageError, printable
from ..files import make_folder, new_folder
from .app import app, games
from .screen import Screen
from .typed import Flag, Seed


@app.command(group=games)
def translate(
    model: Path,
    /,
    *images: Path,
    out: Path | None = None,
    mask: Path | None = None,
    to: str | None = None,
    score: Flag = False,
    seed: Seed = 0,
    trust_code: Flag = False,
    json: Flag = False,
):
    """Fill holes, enlarge or colour images, or turn them into others.

    With a model of inpaint, upscale, restyle, pix2pix or cyclegan.

    Args:
        model: the folder that `sparring train` wrote, or a model folder.
        images: image files, and folders of them.
        out: folder for the results, one PNG for each image [default: translated].
        mask: for inpaint, an image that is white where to fill, or a folder with one for each image, of the same
            name. Without it, transparent pixels are filled.
        to: for cyclegan, a: images like those it was trained to make, b: the way back [default: a].
        score: the images are intact: degrade them as in training, restore them, and print how well that went.
        seed: of the holes of --score.
        trust_code: run the Python file that the run was trained with, if it has one of its own.
        json: print what was written, or the scores, as JSON.
    """
    from ..data.trees import image_files
    from ..runs.translator import load_translators

    screen = Screen(as_json=json)
    if not images:
        raise UsageError(
            "missing", "there are no images to translate", fix="name image files or folders after the model"
        )
    loaded = load_translators(model, trust_code=trust_code)
    if score:
        scored(screen, loaded, images, out, seed=seed, json=json)
        return
    out = new_folder(out or Path("translated"))
    rows = []
    for path in image_files(images):
        pixels, missing = read(path, loaded, mask)
        rows.append({"image": str(path), "made": str(write(loaded.translate(pixels, mask=missing, to=to), path, out))})
    if json:
        screen.show_json(rows)
    else:
        screen.line(f"{len(rows)} images: {printable(str(out))}")


def read(path: Path, loaded, mask: Path | None):
    """The image, and bool [H,W] of what is missing, if the model wants to know."""
    import numpy as np

    from ..images import BadImage, load_image, opened_image

    try:
        pixels = load_image(path, channels=loaded.data_spec.channels)
        if not any(spec.mask for spec in loaded.specs.values()):
            return pixels, None
        if mask is None:
            with opened_image(path) as image:
                missing = np.asarray(image.convert("RGBA"))[:, :, 3] < 128
            if not missing.any():
                what = f"{path} has no transparent pixels, so there is nothing to fill"
                raise UsageError("mask", what, fix="make them transparent where to fill, or use --mask")
            return pixels, missing
        beside = next(mask.glob(f"{path.stem}.*"), mask / f"{path.stem}.png") if mask.is_dir() else mask
        return pixels, load_image(beside, channels=1)[:, :, 0] >= 128
    except BadImage as error:
        what = f"cannot read {path}: {error.reason}"
        raise DataError("bad-image", what, fix="name image files that are whole") from error


def write(pixels, path: Path, out: Path) -> Path:
    """One PNG named like the image; a number is added where two have the same name."""
    from ..images import save_png

    made, number = make_folder(out) / f"{path.stem}.png", 2
    while made.exists():
        made, number = out / f"{path.stem}-{number}.png", number + 1
    save_png(made, pixels, generated=True)
    return made


def scored(screen: Screen, loaded, images, out: Path | None, *, seed: int, json: bool):
    """PSNR and SSIM of restored images, beside what can be had without a network; and a picture of some."""
    import numpy as np

    from ..data import load
    from ..metrics import psnr, ssim
    from ..runs.sampler import save_grid

    data_spec = loaded.data_spec
    if len(images) > 1:
        raise UsageError("several", "--score takes one data set", fix=f"name one of {source_words()}")
    found = load(str(images[0]), size=(data_spec.height, data_spec.width))
    if found.shape[2] != data_spec.channels:
        raise DataError("channels", f"the model takes {data_spec.channels} channels, the images have {found.shape[2]}",
                        fix="pass images like those it was trained on")  # fmt: skip
    test = found.parts == "test"
    x = (found.take(test) if test.any() else found).images[:5000]
    undone = loaded.undone(x, seed=seed)
    rows = []
    for what, y in (("without a network", undone["baseline"]), ("the model", undone["made"])):
        decibels = np.minimum(psnr(y, x), 99.0)  # equal images would be infinitely near
        alike = float(ssim(y, x).mean()) if min(x.shape[1:3]) >= 11 else None  # its window is 11 pixels wide
        rows.append({"what": what, "images": len(x), "psnr": float(decibels.mean()), "ssim": alike})
    if out:
        kinds = np.stack([undone[kind][:10] for kind in ("source", "baseline", "made")] + [x[:10]])
        save_grid(kinds.reshape(-1, *x.shape[1:]), new_folder(out) / "restored.png", columns=kinds.shape[1])
    if json:
        screen.show_json(rows)
    else:
        shown = [
            (row["what"], f"{row['psnr']:.2f}", "" if row["ssim"] is None else f"{row['ssim']:.4f}") for row in rows
        ]
        screen.line(f"{len(x):,} images, degraded and restored")
        screen.table(("", "PSNR dB", "SSIM"), shown, right=("PSNR dB", "SSIM"))
