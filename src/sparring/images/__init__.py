"""The image contract: files of many kinds -> uint8 [H, W, C], C = 1 (grey) or 3 (RGB); grids; files of pictures.

How a file becomes pixels (the same everywhere, so that a model sees at work what it saw in training):

- formats by content, not by name: PNG, JPEG, WebP, BMP, GIF, TIFF, AVIF; of several frames the first
- HEIC, DICOM and NIfTI where the package is there that reads them (kinds.py, medical.py)
- of more than three bands of a TIFF the first three; of two bands none: refused
- upright, as EXIF says
- transparent pixels are put on white
- palettes become colours, or grey where all their colours are grey; 1 bit becomes 0 and 255
- 16 bits become 8 by keeping the high byte; 32-bit whole or floating numbers have no agreed black and white: refused
- CMYK, YCbCr and Lab become RGB; no colour profile is applied
- more than 64 million pixels are refused before decoding; truncated and damaged files are refused, never filled up
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypeGuard

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from ..errors import DataError, UsageError
from ..files import atomic_file
from .kinds import (
    DECODERS,
    DICOM,
    FILE_LIMIT,
    HEIC,
    NIFTI,
    PIXEL_LIMIT,
    ExtraKind,
    UnreadableKind,
    begun_kind,
    is_nifti,
)
from .kinds import LOOKED_FOR as LOOKED_FOR
from .limits import refuse_costly
from .reasons import first_bytes, reason_for, too_large

if TYPE_CHECKING:
    import torch

MIN_SIDE = 8
LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601
CUT = 0.1  # of a side, at most
TILE = 1024  # pixels a side of what is changed at once of a large image
DRAFTED = 2  # times the wanted size: a JPEG is not decoded smaller
FIT_RULE = (
    "resized with antialiasing: of a side that is too long up to a tenth is cut, half at either end, and what is still "
    "too long is squeezed"
)

GREY = {"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N"}
OPAQUE = {"RGBA": "RGB", "LA": "L"}  # the mode without the band that Pillow takes for transparency
ROTATED = {5, 6, 7, 8}  # EXIF orientations that exchange height and width
ORIENTATION = 0x0112  # EXIF tag
SAYING_UPRIGHT = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}  # where it may stand
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

LUMA_ARRAY = np.array(LUMA, np.float32)

Source = bytes | str | Path  # an encoded image
ImageLike = Source | IO[bytes] | Image.Image
SizeLike = int | str | tuple[int, int] | None  # a side, or (height, width), or "48x64"


class BadImage(DataError):
    """A file that cannot become pixels; `reason` is the sentence without the file's name."""

    def __init__(self, reason: str, where: str = "image"):
        super().__init__(
            "bad-image", f"cannot read {where}: {reason}", fix="replace the file, convert it to PNG, or leave it out"
        )
        self.reason = reason

    def __reduce__(self):
        return BadImage, (self.reason,)


class Header(NamedTuple):
    """What a file says of itself; height and width are those of the upright image."""

    height: int
    width: int
    mode: str
    grey: bool
    frames: bool  # whether there is more than one
    generated: bool = False  # whether it says that a network made it
    bands: int = 0  # of a TIFF of which not all are taken
    deep: bool = False  # whether a channel has 16 bits
    rule: str = ""  # by which its values became 8 bits, where the kind of file needs one

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def channels(self) -> int:
        return 1 if self.grey else 3

    @property
    def values(self) -> int:
        """Bytes of its pixels."""
        return self.height * self.width * self.channels * (2 if self.deep else 1)


def is_source(given: object) -> TypeGuard[ImageLike]:
    """Return whether `load_image` takes it: a path, bytes, an open file or a PIL image."""
    return isinstance(given, bytes | str | Path | Image.Image) or hasattr(given, "read")


def load_image(source: ImageLike, *, size: tuple[int, int] | None = None, channels: int | None = None) -> np.ndarray:
    """Return one image as uint8 [H, W, C]; `size` = (height, width) fits it as `sparring.load` does.

    Raises BadImage (a DataError) with the reason.
    """
    with quiet_decoders():
        try:
            with opened_image(source) as image:
                picture = decoded(image, channels or read_header(image).channels, size)
        except BadImage as error:
            raise BadImage(error.reason, str(source) if isinstance(source, str | Path) else "image") from None
    return pixels_of(picture, size)


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Silence Pillow's warnings of odd files, and refuse truncated ones: errors say all that a user must know."""
    filled_up = ImageFile.LOAD_TRUNCATED_IMAGES  # some programs switch it on for the whole process
    log = logging.getLogger("PIL")
    level = log.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = filled_up
            log.setLevel(level)


@contextmanager
def opened_image(source: ImageLike) -> Iterator[Image.Image]:
    """Yield the image with its header read and nothing decoded; every failure inside becomes a BadImage."""
    file: IO[bytes] | None = None
    try:
        if isinstance(source, Image.Image):
            image = source.copy()
        else:
            if isinstance(source, bytes):
                file = BytesIO(source)
            else:
                file = Path(source).open("rb") if isinstance(source, str | Path) else source  # noqa: SIM115 closed below
            image = _opened(file)
        if image.width * image.height > PIXEL_LIMIT:
            raise BadImage(too_large(f"{image.width} x {image.height}"))
        yield image
    except DataError:
        raise
    except Exception as error:  # decoders of untrusted bytes raise almost anything
        raise BadImage(reason_for(error, file)) from error
    finally:
        if file is not None and file is not source:
            file.close()


def _opened(file: IO[bytes]) -> Image.Image:
    """Return what Pillow opens, or else what an optional package reads."""
    try:
        return Image.open(file, formats=DECODERS)
    except UnidentifiedImageError:
        start = first_bytes(file)
        kind = begun_kind(start) or (NIFTI if is_nifti(start) else None)
        if kind is None:
            raise
        if not kind.installed:
            raise UnreadableKind(f"{kind.name} is not read here; {kind.advice}") from None
        file.seek(0)
        return _read_extra(kind, file)


def _read_extra(kind: ExtraKind, file: IO[bytes]) -> Image.Image:
    if kind is HEIC:
        from pillow_heif.as_plugin import HeifImageFile  # pyright: ignore[reportMissingImports]

        return HeifImageFile(file)
    from .medical import read_dicom, read_nifti

    return read_dicom(file, PIXEL_LIMIT) if kind is DICOM else read_nifti(file, FILE_LIMIT)


def read_header(image: Image.Image) -> Header:
    """Return the header of an opened image, before decoding."""
    width, height = image.size
    # of a TIFF Pillow has done it
    if "exif" in image.info and image.format != "TIFF" and _orientation(image) in ROTATED:
        width, height = height, width
    bands = _bands(image)
    grey = image.mode in GREY or (image.mode == "P" and _grey_palette(image))
    return Header(
        height,
        width,
        OPAQUE[image.mode] if bands and image.mode in OPAQUE else image.mode,
        grey,
        frames=bool(getattr(image, "is_animated", False)),
        generated=_says_generated(image),
        bands=bands,
        deep=image.mode.startswith("I;16") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())),
        rule=str(image.info.get("rule", "")) if image.format is None else "",
    )


def _bands(image: Image.Image) -> int:
    """Return how many bands a TIFF has where not all of them become pixels, else 0."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode == "P":
        return 0
    bands, extra = (image.tag_v2.get(tag, default) for tag, default in ((277, 1), (338, ())))
    alpha = image.has_transparency_data and any(meaning in (1, 2) for meaning in extra)
    taken = {"LA": 1, "RGBA": 3}.get(image.mode, len(image.getbands())) + alpha
    return bands if bands > taken else 0


def _says_generated(image: Image.Image) -> bool:
    """Return whether an opened image says that a network made it: PNG text, a GIF's comment, the XMP of WebP."""
    texts = [image.info.get(key, "") for key in ("Generated", "comment", "xmp")]
    texts = [text.decode("latin-1") if isinstance(text, bytes) else str(text) for text in texts]
    return texts[0] == "true" or any(GENERATED in text for text in texts[1:])


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF that cannot be read says nothing
        return 1


def _grey_palette(image: Image.Image) -> bool:
    colours = np.array(image.getpalette("RGB") or [0, 0, 1]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def decoded(image: Image.Image, channels: int, near: tuple[int, int] | None = None) -> Image.Image:
    """Return an opened image in mode L (1 channel) or RGB (3), by the rules above.

    `near`: the (height, width) that it will be fitted to; a much larger JPEG is then decoded at a half, a quarter or an
    eighth of its size, never below DRAFTED times the wanted one.
    """
    if near and image.format == "JPEG" and min(image.size) > DRAFTED * max(near):
        image.draft(None, (DRAFTED * max(near), DRAFTED * max(near)))
    refuse_costly(image, turned="exif" in image.info and _orientation(image) != 1)
    opaque = OPAQUE[image.mode] if image.mode in OPAQUE and _bands(image) else None
    image.load()
    if SAYING_UPRIGHT & image.info.keys():
        with suppress(Exception):  # EXIF that cannot be read says nothing
            ImageOps.exif_transpose(image, in_place=True)  # a copy beside it would be one too many
    return to_mode(image.convert(opaque) if opaque else image, channels)


def pixels_of(image: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return uint8 [H, W, C] of a decoded image, fitted to `size` = (height, width) if given."""
    if size and (image.height, image.width) != tuple(size):
        image = fitted(image, *size)
    return np.asarray(image).reshape(image.height, image.width, -1)


def to_mode(image: Image.Image, channels: int) -> Image.Image:
    """Return the image in mode L (1 channel) or RGB (3). Raises BadImage for 32-bit numbers."""
    wanted = "L" if channels == 1 else "RGB"
    if image.mode == wanted and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F"):
        kind = "whole" if image.mode == "I" else "floating"
        raise BadImage(f"32-bit {kind} numbers, in which black and white are not known; save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        image = _by_tiles(image, "L", _high_bytes)
    elif image.has_transparency_data:
        return _by_tiles(image, wanted, lambda tile: _opaque(tile).convert(wanted))
    return image.convert(wanted)


def _by_tiles(image: Image.Image, mode: str, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return an image of `mode` whose pixels are changed each on its own; of a large one tile by tile."""
    width, height = image.size
    if max(image.size) <= TILE:
        return change(image)
    made = Image.new(mode, image.size)
    for top, left in product(range(0, height, TILE), range(0, width, TILE)):
        tile = image.crop((left, top, min(left + TILE, width), min(top + TILE, height)))
        made.paste(change(tile), (left, top))
    return made


def _high_bytes(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    return Image.fromarray(on_white(np.asarray(image.convert("RGBA"))))


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Return uint8 [..., 3] of uint8 [..., 4]: colour x alpha + white x (1 - alpha), rounded."""
    alpha = rgba[..., 3:].astype(np.uint32)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def fitted(image: Image.Image, height: int, width: int) -> Image.Image:
    """Return the image at another size by FIT_RULE: antialiased, nothing added, little of it cut."""
    high, wide = image.height / height, image.width / width  # pixels that become one
    tall, broad = image.height * max(1 - CUT, min(1, wide / high)), image.width * max(1 - CUT, min(1, high / wide))
    left, top = (image.width - broad) / 2, (image.height - tall) / 2
    box = (left, top, image.width - left, image.height - top)
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def fit_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return uint8 [H, W, C] at another (height, width), by the same rule as files."""
    return pixels_of(as_pillow(pixels), size)


def colour_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Return uint8 [..., 1 or 3] with so many channels: grey as three equal ones, colour as its luma."""
    if images.shape[-1] == channels:
        return images
    return images.repeat(3, axis=-1) if channels == 3 else np.rint(images @ LUMA_ARRAY).astype(np.uint8)[..., None]


def chunk_slices(images: np.ndarray, count: int | None = None, *, most: int = 1 << 23) -> Iterator[slice]:
    """Yield slices of `count` images like these (by default of these) that hold at most `most` values together."""
    count = len(images) if count is None else count
    step = max(1, most // max(1, math.prod(images.shape[1:])))
    yield from (slice(start, start + step) for start in range(0, count, step))


def as_size(size: SizeLike) -> tuple[int, int] | None:
    """Return (height, width) of 64, (48, 64), "64" or "48x64" (height x width); None of None. Raises UsageError."""
    if size is None:
        return None
    try:
        pieces = list(size) if isinstance(size, tuple | list) else str(size).lower().split("x")
        numbers = [int(piece) for piece in pieces]
    except (TypeError, ValueError):
        numbers = []
    if isinstance(size, bool) or len(numbers) not in (1, 2) or not all(MIN_SIDE <= n <= 4096 for n in numbers):
        fix = "give a side such as 64, or height x width such as 48x64"
        raise UsageError("image-size", f"size {size} is not one or two whole numbers from {MIN_SIDE} to 4096", fix=fix)
    return numbers[0], numbers[-1]


def to_unit(images: "np.ndarray | torch.Tensor", dtype: "torch.dtype | None" = None) -> "torch.Tensor":
    """Return uint8 [N,H,W,C] as float [N,C,H,W] in [-1,1], channels last in memory; float32, or the torch `dtype`."""
    import torch

    x = images if isinstance(images, torch.Tensor) else torch.tensor(images)
    return x.permute(0, 3, 1, 2).to(dtype or torch.float32).div_(127.5).sub_(1)


def to_uint8(x: "torch.Tensor") -> np.ndarray:
    """Return float [N,C,H,W] as uint8 [N,H,W,C]: -1 becomes 0, 1 becomes 255; values beyond are clipped."""
    import torch

    return x.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def grid(
    images: np.ndarray, *, columns: int | None = None, scale: int | None = None, gap: int = 2, paper: int = 255
) -> np.ndarray:
    """Return one picture uint8 [H', W', C] of images uint8 [N, H, W, C], row by row from the top left.

    `columns`: by default so many that the picture is nearly square. `scale`: a whole factor, by default so large that
    an image has 48 pixels a side. `gap`: pixels of the grey level `paper` between images.
    """
    count, height, width, channels = images.shape
    if not count:
        return np.full((MIN_SIDE, MIN_SIDE, channels or 1), paper, np.uint8)
    across = columns or math.ceil(math.sqrt(count * height / width))
    across = min(count, across)
    rows = -(-count // across)
    scale = scale or max(1, -(-48 // min(height, width)))
    tall, wide = height * scale + gap, width * scale + gap
    picture = np.full((rows * tall + gap, across * wide + gap, channels), paper, np.uint8)
    for i, image in enumerate(images):
        row, column = divmod(i, across)
        top, left = gap + row * tall, gap + column * wide
        picture[top : top + tall - gap, left : left + wide - gap] = image.repeat(scale, 0).repeat(scale, 1)
    return picture


def encode_png(picture: np.ndarray, *, text: Mapping[str, str] | None = None, generated: bool = False) -> bytes:
    """Return a PNG of uint8 [H, W], [H, W, 1] or [H, W, 3]; `generated`: it says that a network made it."""
    buffer = BytesIO()
    as_pillow(picture).save(buffer, "PNG", pnginfo=_png_text(text, generated))
    return buffer.getvalue()


def save_png(
    path: Path | str, picture: np.ndarray, *, text: Mapping[str, str] | None = None, generated: bool = False
) -> Path:
    """Write a PNG as `encode_png` makes it; the file is whole or not there.

    Raises MachineError (disk full, no permission).
    """
    data = encode_png(picture, text=text, generated=generated)
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def film_kind(path: Path | str) -> str:
    """Return WEBP or GIF, as a file's name ends. Raises UsageError for another ending."""
    kind = Path(path).suffix.lower()
    if kind not in (".webp", ".gif"):
        raise UsageError("animation-kind", f"{path} does not end in .webp or .gif", fix="name a .webp or .gif file")
    return kind[1:].upper()


def save_animation(
    path: Path | str, frames: np.ndarray, *, seconds: float = 0.2, hold: float = 1.5, generated: bool = False
) -> Path:
    """Write frames uint8 [T, H, W, C] as an endless WebP or GIF, as the name ends; the file is whole or not there.

    The last frame stays for `hold` seconds. Raises UsageError for another ending, MachineError as save_png.
    """
    content = encode_animation(frames, film_kind(path), seconds=seconds, hold=hold, generated=generated)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def encode_animation(
    frames: np.ndarray, kind: str, *, seconds: float = 0.2, hold: float = 1.5, generated: bool = False
) -> bytes:
    """Return frames uint8 [T, H, W, C] as an endless "WEBP" or "GIF". The last frame stays for `hold` seconds."""
    first, *rest = [as_pillow(frame) for frame in frames]
    times = [round(1000 * seconds)] * len(rest) + [round(1000 * hold)]
    mark = {"xmp": XMP.encode()} if kind == "WEBP" else {"comment": f"sparring {GENERATED}"}
    options = ({"lossless": True} if kind == "WEBP" else {}) | (mark if generated else {})
    buffer = BytesIO()
    first.save(buffer, kind, save_all=True, append_images=rest, duration=times, loop=0, **options)
    return buffer.getvalue()


def as_pillow(picture: np.ndarray) -> Image.Image:
    """Return uint8 [H, W], [H, W, 1] or [H, W, 3] as a PIL image."""
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (1,), (3,)):
        raise TypeError(f"a picture is uint8 [H, W], [H, W, 1] or [H, W, 3], not {picture.dtype} {picture.shape}")
    return Image.fromarray(picture[..., 0] if picture.shape[2:] == (1,) else picture)


def _png_text(text: Mapping[str, str] | None, generated: bool) -> PngImagePlugin.PngInfo:
    """Return PNG text chunks; for generated images also IPTC's word for them, as XMP."""
    info = PngImagePlugin.PngInfo()
    if generated:
        info.add_text("Software", "sparring")
        info.add_text("Generated", "true")
        info.add_itxt("XML:com.adobe.xmp", XMP)
    for key, value in (text or {}).items():
        info.add_text(str(key), str(value))
    return info


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="sparring" '
    f'Iptc4xmpExt:DigitalSourceType="{GENERATED}"/></rdf:RDF></x:xmpmeta>'
)


def is_generated(source: ImageLike) -> bool:
    """Return whether a PNG, WebP or GIF says that a network made it."""
    with quiet_decoders(), opened_image(source) as image:
        return read_header(image).generated
