"""The verb `translate`: images through a trained translator, and intact images degraded and restored."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import files
from ..data import load
from ..data.trees import NamedFiles, image_files
from ..errors import DataError, SparringError, UsageError
from ..images import BadImage, load_image, opened_image, save_png
from ..records import OnProgress, no_progress
from .folder import Run
from .sampler import save_grid
from .translator import Translating, load_translators

Images = Path | str | np.ndarray | Sequence[Path | str | np.ndarray]
SCORED = 5000  # images at most


@dataclass(frozen=True)
class Translated:
    """One image that was made: of which file (None: of an array), its pixels, and where it was written.

    `error`: why nothing was made of a file; then there are no pixels. `skipped`: it was not named and is no image, but
    lies in a folder that was.
    """

    image: Path | None
    made: np.ndarray | None = None
    path: Path | None = None
    error: SparringError | None = None
    skipped: bool = False

    @property
    def problem(self) -> str:
        """Why nothing was made, in a few words; "" where something was."""
        return self.error.reason if isinstance(self.error, BadImage) else self.error.problem if self.error else ""


def translate(
    model: Run | Translating | Path | str,
    images: Images,
    *,
    out: Path | str | None = None,
    mask: Path | str | np.ndarray | None = None,
    to: str | None = None,
    trust_code: bool = False,
    follow_links: bool = False,
) -> list[np.ndarray]:
    """Fill holes, enlarge or colour images, or turn them into others; return uint8 [H,W,C] for each.

    model: what `train` returned, its folder, or a model folder.
    images: image files, folders of them, or arrays uint8 [H,W,C] (several: [N,H,W,C]).
    out: also write a PNG file for each into this folder, which must be new.
    mask: of a model that fills holes: bool [H,W], an image that is white where to fill, or a folder with one for each
    image: of the same full name, else of the same name with another ending. Without it, transparent pixels are filled.
    to: of cyclegan, a: images like those it was trained to make, b: the way back; a where nothing is said.
    follow_links: of folders, also what links name that lead out of them.

    Raises UsageError for what the model cannot do, DataError for images that cannot be read or have no mask.
    """
    if not isinstance(model, Translating):
        folder = model.folder if isinstance(model, Run) else model
        trusted = trust_code or (isinstance(model, Run) and model.own is not None)
        model = load_translators(folder, trust_code=trusted)
    place = None if out is None else files.new_folder(out)
    found: list[np.ndarray] = []
    for row in translated(model, images, out=place, mask=mask, to=to, follow_links=follow_links):
        if row.error and not row.skipped:
            raise row.error
        found += [] if row.made is None else [row.made]
    return found


def translated(
    model: Translating,
    images: Images,
    *,
    out: Path | None = None,
    mask: Path | str | np.ndarray | None = None,
    to: str | None = None,
    follow_links: bool = False,
) -> Iterator[Translated]:
    """Yield one image after the other, so that memory does not grow with their number; files with a problem too."""
    listed = [images] if isinstance(images, Path | str | np.ndarray) else list(images)
    stacks = [item if item.ndim == 4 else item[None] for item in listed if isinstance(item, np.ndarray)]
    named = [item for item in listed if not isinstance(item, np.ndarray)]
    files_named = image_files(named, follow_links=follow_links) if named else NamedFiles()
    stems = Counter(path.stem for path in files_named.images)
    for path in files_named.images:
        try:
            pixels, missing = _read_image(path, model, mask, files_named.images)
            made = model.translate(pixels, mask=missing, to=to)
        except (UsageError, DataError) as error:
            yield Translated(path, error=error)
            continue
        name = path.stem if stems[path.stem] == 1 or path.suffix == ".png" else path.name
        yield Translated(path, made, None if out is None else _write_image(made, name, out))
    for path, reason in files_named.left_out:
        yield Translated(path, error=BadImage(reason, str(path)), skipped=True)
    for number, pixels in enumerate(image for stack in stacks for image in stack):
        made = model.translate(pixels, mask=mask if isinstance(mask, np.ndarray) else None, to=to)
        yield Translated(None, made, None if out is None else _write_image(made, f"{number:05d}", out))


def _read_image(
    path: Path, model: Translating, mask: Path | str | np.ndarray | None, others: Sequence[Path]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the image, and bool [H,W] of what is missing, if the model wants to know.

    `others`: all images that are translated. Raises DataError where it, or its mask, is not there or cannot be read.
    """
    pixels = load_image(path, channels=model.data_spec.channels)
    if not any(spec.mask for spec in model.specs.values()):
        return pixels, None
    if isinstance(mask, np.ndarray):
        return pixels, mask
    if mask is None:
        with opened_image(path) as image:
            missing = np.asarray(image.convert("RGBA"))[:, :, 3] < 128
        if not missing.any():
            what = f"{path} has no transparent pixels, so there is nothing to fill"
            raise UsageError("mask", what, fix="make them transparent where to fill, or use --mask")
        return pixels, missing
    place = Path(mask)
    beside = mask_beside(path, place, others) if place.is_dir() else place
    try:
        return pixels, load_image(beside, channels=1)[:, :, 0] >= 128
    except BadImage as error:
        raise BadImage(f"its mask {beside} cannot be read: {error.reason}", str(path)) from None


def mask_beside(path: Path, masks: Path, others: Sequence[Path]) -> Path:
    """Return the mask of an image: of the same full name, else of the same name with another ending.

    A mask with the full name of another image in `others` is that one's. Raises DataError where there is none, or
    several.
    """
    if (masks / path.name).is_file():
        return masks / path.name
    there, taken = sorted(masks.iterdir()), {other.name for other in others}
    found = [mask for mask in there if mask.stem == path.name]  # a.jpg.png of a.jpg
    found = found or [mask for mask in there if mask.stem == path.stem and mask.name not in taken]
    if len(found) == 1:
        return found[0]
    what = f"there is no {masks / path.name}, nor {masks / path.stem} with another ending"
    if found:
        what = f"it may be {' or '.join(map(str, found))}"
    raise DataError("no-mask", f"no mask for {path}: {what}", fix="give the mask the name of its image")


def _write_image(pixels: np.ndarray, stem: str, out: Path) -> Path:
    """Write one PNG named like the image; a number is added where two have the same name."""
    made, number = files.make_folder(out) / f"{stem}.png", 2
    while made.exists():
        made, number = out / f"{stem}-{number}.png", number + 1
    save_png(made, pixels, generated=True)
    return made


def restored_images(
    model: Translating,
    source: object,
    *,
    out: Path | None = None,
    seed: int = 0,
    follow_links: bool = False,
    progress: OnProgress = no_progress,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return intact images uint8 [N,H,W,C], and what `Translating.undone` makes of them after degrading them.

    `source`: what `sparring.load` takes; its test part, if it has one. `out`: a folder for a picture of ten of them.
    """
    data_spec = model.data_spec
    size = data_spec.height, data_spec.width
    found = load(source, size=size, follow_links=follow_links, progress=progress)
    if found.shape[2] != data_spec.channels:
        what = f"the model takes {data_spec.channels} channels, the images have {found.shape[2]}"
        raise DataError("channels", what, fix="pass images like those it was trained on")
    test = found.parts == "test"
    x = (found.take(test) if test.any() else found).images[:SCORED]
    undone = model.undone(x, seed=seed)
    if out is not None:
        kinds = np.stack([undone[kind][:10] for kind in ("source", "baseline", "made")] + [x[:10]])
        save_grid(kinds.reshape(-1, *x.shape[1:]), out / "restored.png", columns=kinds.shape[1])
    return x, undone
