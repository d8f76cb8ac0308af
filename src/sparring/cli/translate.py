"""sparring translate: images through a trained translator."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.formats import source_words
from ..errors import UsageError, printable
from ..files import new_folder
from ..words import plural
from .app import app, games
from .reading import ReadingLabels
from .screen import Screen
from .typed import Flag, Seed, Verbose

if TYPE_CHECKING:
    import numpy as np

    from ..runs.translating import Translated

WAYS = ("without a network", "the model")
SSIM_WINDOW = 11  # pixels


@dataclass(frozen=True)
class RestorationScore:
    """Mean PSNR in dB and SSIM of restored images; `ssim` is None for images below 11 pixels."""

    what: str
    images: int
    psnr: float
    ssim: float | None


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
    reading: ReadingLabels = ReadingLabels(),
    verbose: Verbose = False,
    trust_code: Flag = False,
    json: Flag = False,
):
    """Fill holes, enlarge or colour images, or turn them into others.

    With a model of inpaint, upscale, restyle, pix2pix or cyclegan.

    Args:
        model: the folder that `sparring train` wrote, or a model folder.
        images: image files, and folders of them.
        out: folder for the results, one PNG for each image [default: translated].
        mask: for inpaint, an image that is white where to fill, or a folder with one for each image: of the same full
            name, else of the same name with another ending. Without it, transparent pixels are filled.
        to: for cyclegan, a: images like those it was trained to make, b: the way back [default: a].
        score: the images are intact: degrade them as in training, restore them, and print how well that went.
            --table and --label are about these.
        seed: of the holes of --score.
        trust_code: run the Python file that the run was trained with, if it has one of its own.
        json: print what was written, or the scores, as JSON.
    """
    from ..runs.translating import restored_images, translated
    from ..runs.translator import load_translators

    screen = Screen(as_json=json, verbose=verbose)
    if len(images) == 0:
        raise UsageError(
            "missing", "there are no images to translate", fix="name image files or folders after the model"
        )
    loaded = load_translators(model, trust_code=trust_code)
    if score:
        if len(images) > 1:
            raise UsageError("several", "--score takes one data set", fix=f"name one of {source_words()}")
        place = new_folder(out) if out else None
        with screen.progress("reading") as line:
            intact, undone = restored_images(
                loaded, reading.source(str(images[0])), out=place, seed=seed, progress=line.show
            )
        scores = [_score(name, y, intact) for name, y in zip(WAYS, (undone["baseline"], undone["made"]), strict=True)]
        if json:
            screen.show_json([asdict(row) for row in scores])
            return
        screen.line(f"{len(intact):,} images, degraded and restored")
        lines = [(s.what, f"{s.psnr:.2f}", "" if s.ssim is None else f"{s.ssim:.4f}") for s in scores]
        screen.table(("", "PSNR dB", "SSIM"), lines, right=("PSNR dB", "SSIM"))
        return
    out = new_folder(out or Path("translated"))
    made: list[tuple[Path | None, Path | None]] = []
    bad: list[Translated] = []
    for row in translated(loaded, images, out=out, mask=mask, to=to, follow_links=reading.follow_links):
        if row.error:
            bad.append(row)
        else:
            made.append((row.image, row.path))
    for row in bad if made or len(bad) > 1 else ():  # one alone is the error
        screen.note(printable(f"left out {row.image}: {row.problem}"), style="yellow")
    if not made:
        raise next(row.error for row in bad if row.error)
    if json:
        rows = [{"image": str(image), "made": str(path)} for image, path in made]
        screen.show_json([*rows, *({"image": str(row.image), "error": row.problem} for row in bad)])
    else:
        screen.line(f"{plural(len(made), 'image')}: {printable(str(out))}")


def _score(what: str, restored: "np.ndarray", intact: "np.ndarray") -> RestorationScore:
    import numpy as np

    from ..metrics import psnr, ssim

    decibels = np.minimum(psnr(restored, intact), 99.0)  # equal images would be infinitely near
    likeness = float(ssim(restored, intact).mean()) if min(intact.shape[1:3]) >= SSIM_WINDOW else None
    return RestorationScore(what, len(intact), float(decibels.mean()), likeness)
