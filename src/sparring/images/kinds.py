"""Which files are images: how their names end, how they begin, and which kinds an optional package reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

DECODERS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")  # of Pillow, the only ones that ever run
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
LOOKED_FOR = "png, jpg, webp, bmp, gif, tiff, avif"
PIXEL_LIMIT = 64_000_000
FILE_LIMIT = 1 << 29  # bytes of one encoded image in an archive
START = 132  # bytes at the beginning that say what a file is


@dataclass(frozen=True)
class ExtraKind:
    """A kind of images that a package reads which need not be there; `extra`: of ours, which installs it."""

    name: str
    suffixes: tuple[str, ...]
    package: str
    extra: str

    @property
    def installed(self) -> bool:
        return _there(self.package)

    @property
    def advice(self) -> str:
        """How to have it read."""
        return f"pip install 'sparring[{self.extra}]' to read {self.name}"


@cache
def _there(package: str) -> bool:
    return find_spec(package) is not None


HEIC = ExtraKind("HEIC", (".heic", ".heif", ".hif"), "pillow_heif", "heic")
DICOM = ExtraKind("DICOM", (".dcm", ".dicom"), "pydicom", "medical")
NIFTI = ExtraKind("NIfTI", (".nii", ".nii.gz"), "nibabel", "medical")
EXTRA_KINDS = (HEIC, DICOM, NIFTI)
FILM = ExtraKind("films", (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"), "av", "video")  # read by frames.py alone
TAKE_FRAMES = "sparring data DATA --frames 10 --out FOLDER takes 10 pictures of each film"
OTHER_IMAGES = {ending for kind in EXTRA_KINDS for ending in kind.suffixes} | set(
    ".svg .jp2 .j2k .jxl .psd .xcf .dng .cr2 .cr3 .nef .arw .orf .raf .rw2 .exr .hdr .tga .ppm .pgm .pbm .pnm".split()
)  # of images that are not read, or only with a package
GZIP = b"\x1f\x8b"
NIFTI_STARTS = ((348).to_bytes(4, "little"), (348).to_bytes(4, "big"), (540).to_bytes(4, "little"))
HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


class UnreadableKind(ValueError):
    """An image that is whole, but of a kind that cannot be read here; the text says why."""


def suffix(path: str) -> str:
    """Return how a file's name ends, in small letters: ".jpg", ".nii.gz", or "" for a name without an ending."""
    name = path.rpartition("/")[2]
    if name.lower().endswith(".nii.gz"):
        return ".nii.gz"
    return "." + name.rpartition(".")[2].lower() if "." in name[1:] else ""


def extra_kind(ending: str) -> ExtraKind | None:
    """Return the kind that needs a package and has such an ending."""
    return next((kind for kind in EXTRA_KINDS if ending in kind.suffixes), None)


def advice_for(paths: Iterable[str]) -> list[str]:
    """Return how to have those of these files read that need a package, or of which pictures must be taken first."""
    endings = {suffix(path) for path in paths}
    found = {kind.name: kind for ending in endings if (kind := extra_kind(ending))}
    return [found[name].advice for name in sorted(found)] + [TAKE_FRAMES] * (not endings.isdisjoint(FILM.suffixes))


def is_image_name(path: str) -> bool:
    """Return whether a file is named like an image that can be read here."""
    ending = suffix(path)
    kind = extra_kind(ending)
    return ending in SUFFIXES or (kind is not None and kind.installed)


def looks_like_image(start: bytes) -> bool:
    """Return whether these first bytes may be those of an image that we read, or of a damaged one."""
    known = start.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM", b"II", b"MM"))
    return known or is_avif(start) or begun_kind(start) is not None


def begins_as_image(start: bytes) -> bool:
    """Return whether these first bytes are those of an image that can be read here: for a name without an ending."""
    if (kind := begun_kind(start)) is not None:
        return kind.installed
    webp = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    others = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
    return webp or is_avif(start) or start.startswith(others)


def begun_kind(start: bytes) -> ExtraKind | None:
    """Return the kind that needs a package and begins so; of NIfTI only the name tells."""
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS:
        return HEIC
    return DICOM if start[128:132] == b"DICM" else None


def is_avif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:11] == b"avi"


def is_nifti(start: bytes) -> bool:
    """Return whether a file may be NIfTI, which is often packed with gzip."""
    return start.startswith((GZIP, *NIFTI_STARTS))
