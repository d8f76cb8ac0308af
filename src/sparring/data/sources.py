"""What the user named -> ImageSet. The kind of a source is recognised by its content, not by its name."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zipfile import is_zipfile

import numpy as np

from ..errors import DataError, MachineError, MissingData, UsageError, suggestion
from ..images import (
    BadImage,
    SizeLike,
    as_size,
    chunk_slices,
    colour_channels,
    fit_pixels,
    opened_image,
    quiet_decoders,
)
from ..records import OnProgress, Progress, no_progress
from .arrays import from_arrays, from_dict
from .decode import decode
from .doubts import data_news
from .formats import EMBEDDED, FORMATS, Format, LoadOptions, file_suffixes, resolve, source_words
from .groups import FOLDERS, NONE, group_names
from .imageset import ImageSet
from .labels import UNLABELLED
from .listing import ListedImage, Listing
from .notes import OWN_SIZE, SizeLimit, SizeRule
from .storage import COPIED, joined, room_for
from .trees import folder_tree, kinds_of


def load(
    source: object,
    *,
    size: SizeLike = None,
    unlabelled: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    labels: object = None,
    progress: OnProgress = no_progress,
    follow_links: bool = False,
    alike: bool = False,
    limit: SizeLimit = OWN_SIZE,
    group: object = None,
) -> ImageSet:
    """Return the images of any source as one ImageSet; its `notes` say what was done, left out and doubtful.

    source      "digits" | folder | zip, npz or parquet file | "file.zip/folder" | (images, labels) | images |
                {"x_train": ..., "y_train": ...} | list of image files | ImageSet
    size        None: as the images are up to `limit` if all are equal, else settled from them (`notes.size_rule`); 64;
                (48, 64)
    unlabelled  a further source whose images are added without labels; a folder in the source is then no class.
                "none": no folder of the source holds images without labels, whatever it is called
    table       a table of labels (file,label) that lies elsewhere than the images. "none": the folders say which image
                has which label, whatever tables lie there
    label       the column that holds the labels, of a table or of Parquet
    labels      the labels of an array of images
    progress    called with a Progress that counts images, and at the end with one whose `news` tell what was left out,
                converted and doubtful
    alike       take images that are all the same, too, from which nothing can be learned
    limit       how large images are kept where no size is given: OWN_SIZE, up to 224 pixels of the shorter side, or
                SMALL, as for training generators
    group       which images show the same patient, slide, animal or moment, so that no split parts them: a column of
                the table or of the Parquet file, an array of the .npz, or one value per image of an array; "folders"
                for the folders below the classes, "none" for no groups; None finds out (groups.py)

    Raises MissingData, DataError, UsageError, MachineError. Never changes what it reads.
    """
    wanted = as_size(size)
    if table is None and isinstance(labels, str | Path):
        table, labels = labels, None
    found, more = find_images(
        source, unlabelled=unlabelled, table=table, label=label, labels=labels, follow_links=follow_links, group=group
    )
    imageset = read_source(found, wanted, limit=limit, progress=progress)
    if isinstance(group, str) and group == NONE:  # of an ImageSet
        imageset = replace(imageset, groups=None)
    if isinstance(group, str) and group not in (NONE, FOLDERS) and imageset.groups is None:
        what = f"{imageset.notes.source} has no column {group!r} that says which images belong together"
        raise UsageError("group-column", what, fix=f"leave it out, or write --group {NONE}")
    if more is not None:
        added = read_source(more, imageset.shape[:2], channels=imageset.shape[2], progress=progress)
        imageset = _with_unlabelled(imageset, added)
    imageset = without_copies(imageset)
    if not alike:
        _refuse_no_variation(imageset)
    if progress is not no_progress and (news := data_news(imageset)).full:
        progress(Progress("images", len(imageset), len(imageset), news=news))
    return imageset


def find_images(
    source: object,
    *,
    unlabelled: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    labels: object = None,
    follow_links: bool = False,
    group: object = None,
) -> tuple[Listing | ImageSet, Listing | ImageSet | None]:
    """Return what a source holds, options as `load` takes them: files that have yet to be decoded, or images.

    The second is what `unlabelled` names, where it cannot join the first. Raises what `load` raises.
    """
    pools = str(unlabelled) != "none"
    unlabelled = unlabelled if pools else None
    options = LoadOptions(
        table=None if table is None else Path(table).expanduser(),
        label=label or "",
        follow_links=follow_links,
        pools=pools,
        without=_inside(source, unlabelled),
        group=group if isinstance(group, str) else None if group is None else NONE,
    )
    found, more = find_source(source, options, labels), None
    if group is not None and not isinstance(group, str):
        found = _with_groups(found, group)
    if unlabelled is not None:
        more = find_source(unlabelled, LoadOptions(follow_links=follow_links, unlabelled=True))
    if isinstance(found, Listing) and isinstance(more, Listing):
        found, more = found.with_more(more), None
    return found, more


def read_source(
    found: Listing | ImageSet,
    size: tuple[int, int] | None,
    *,
    channels: int | None = None,
    limit: SizeLimit = OWN_SIZE,
    progress: OnProgress = no_progress,
) -> ImageSet:
    """Return the images of what was found, decoded and fitted."""
    if isinstance(found, Listing):
        return decode(found, size=size, channels=channels, limit=limit, progress=progress)
    if size is None:
        found = limited(found, limit)
    return resized(found, size or found.shape[:2], channels or found.shape[2])


def limited(imageset: ImageSet, limit: SizeLimit) -> ImageSet:
    """Return the set within the limit; a size that was asked for, or is that of other images, stays."""
    before, rule = imageset.shape[:2], imageset.notes.size_rule
    if rule and rule.how in ("asked", "matched"):
        return imageset
    settled = replace(limit, alike=limit.alike or (rule is not None and rule.how == "median"))
    if (target := settled.target([before])) == before:
        return imageset
    return resized(imageset, target, imageset.shape[2], SizeRule(1, before, before, target, "shrunk", limit))


def find_source(source: object, options: LoadOptions, labels: object = None) -> Listing | ImageSet:
    """Return a listing where files have yet to be decoded, an ImageSet where there are arrays."""
    pair = isinstance(source, tuple) and len(source) == 2
    if labels is not None and (isinstance(source, str | Path | ImageSet | dict) or pair):
        raise UsageError("labels-twice", "labels were given, and the source has its own", fix="leave one of them out")
    if isinstance(source, str | Path):
        return _find_path(source, options)
    if options.label:
        raise UsageError("label-column", "a column of labels goes with tables and Parquet", fix="leave label out")
    if options.table is not None:
        raise UsageError("table", "a table of labels goes with a folder or a zip", fix="pass labels, one per image")
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, dict):
        return from_dict(source, group=options.group)
    if isinstance(source, tuple) and len(source) == 2:
        return from_arrays(source[0], source[1])
    if isinstance(source, list) and source and all(isinstance(item, str | Path) for item in source):
        return _list_files(source, options.follow_links)
    return from_arrays(source, labels)


def _find_path(source: str | Path, options: LoadOptions) -> Listing | ImageSet:
    if str(source) in EMBEDDED and not options.unlabelled:
        return resolve(EMBEDDED[str(source)])()
    path, inside = _existing(source)
    if inside and not is_zipfile(path):
        raise MissingData("no-data", f"{source} does not exist: {path} is a file, not a folder", fix=_name_another())
    kind = _format_of(path)
    if options.table is not None and not kind.takes_table:
        raise UsageError("labels-twice", f"{source} has its own labels", fix="leave the table of labels out")
    if options.label and not kind.takes_label:
        raise UsageError("label-column", f"{source} holds arrays, which have no columns", fix="leave --label out")
    return kind.read(path, replace(options, inside=inside))


def _name_another() -> str:
    return f"name {source_words()}, or file.zip/folder"


def _existing(source: str | Path) -> tuple[Path, str]:
    """Return what is on disk of a path, and the rest of it, a folder in an archive. Raises MissingData."""
    if "\0" in str(source) or not str(source).strip():
        raise MissingData("no-data", f"{str(source)!r} is not a path", fix=_name_another())
    path = Path(source).expanduser()
    inside: list[str] = []
    while not path.exists():
        if path.parent == path or not path.name:
            break
        inside.insert(0, path.name)
        path = path.parent
    if not inside or path.is_file():
        return path, "/".join(inside)
    try:
        names = [entry.name for entry, _ in zip(path.iterdir(), range(2000), strict=False)]
    except OSError:
        names = []
    near = suggestion(inside[0], [*names, *EMBEDDED])
    raise MissingData("no-data", f"{source} does not exist{near}", fix=_name_another())


def _format_of(path: Path) -> Format:
    """Return the format of what lies at a path, by its content. Raises DataError and MachineError."""
    start = b""
    if not path.is_dir():
        if not path.is_file():
            raise DataError("data-kind", f"{path} is neither a file nor a folder", fix=_name_another())
        try:
            with path.open("rb") as file:
                start = file.read(32)
        except OSError as error:
            raise MachineError(
                "no-permission", f"cannot read {path}: {error.strerror}", fix="make it readable"
            ) from None
    found = next((row for row in FORMATS if row.recognises(path, start)), None)
    if found is None:
        raise _unknown_format(path, start)
    return found


def _unknown_format(path: Path, start: bytes) -> DataError:
    """Return the error for a file of no format, with what it is."""
    if path.suffix.lower() in file_suffixes():
        return DataError(
            "data-kind", f"{path} is damaged: it does not start like a {path.suffix} file", fix="get it anew"
        )
    try:
        with quiet_decoders(), opened_image(path):
            return DataError("data-kind", f"{path} is a single image", fix=f"pass its folder, {path.parent}")
    except BadImage:
        what = f"a {path.suffix} file" if path.suffix else "a file"
        return DataError(
            "data-kind", f"{path} is {what}, which holds no images that are understood", fix=_name_another()
        )


def _list_files(paths: Sequence[str | Path], follow_links: bool) -> Listing:
    """Return image files and folders of them, named one by one, without labels."""
    files: list[tuple[str, Path]] = []
    others: list[str] = []
    links: list[str] = []
    bad_files: list[tuple[str, str]] = []
    for path in map(Path, paths):
        if path.is_dir():
            tree = folder_tree(path, follow_links=follow_links)
            files += [(f"{path}/{image}", Path(os.fsdecode(tree.read(image)))) for image in tree.images]
            others += [f"{path}/{other}" for other in tree.others]
            links += [f"{path}/{link}" for link in tree.links]
            bad_files += [(f"{path}/{bad}", reason) for bad, reason in tree.bad_files]
        else:
            files.append((str(path), path))
    items = [ListedImage(origin) for origin, _ in files]
    return Listing(
        "files",
        f"{len(files)} files",
        "files named one by one",
        items,
        read=lambda i: files[i][1],
        ignored=kinds_of(others),
        bad_files=bad_files,
        others=others,
        links=links,
    )


def resized(imageset: ImageSet, size: tuple[int, int], channels: int, rule: SizeRule | None = None) -> ImageSet:
    """Return the set fitted to (height, width) by the rule for files, with so many channels.

    Grey becomes three equal channels, colour becomes its luma. `rule`: why, by default to match other images.
    """
    before, now = imageset.shape[:2], imageset.shape[2]
    if (before, now) == (tuple(size), channels):
        return imageset
    images, notes = imageset.images, imageset.notes
    fitted = room_for(len(images), (*size, channels))
    for chunk in chunk_slices(images, most=COPIED):
        piece = images[chunk]
        if before != tuple(size):
            piece = np.stack([fit_pixels(image, size) for image in piece])
        fitted[chunk] = colour_channels(piece, channels)
    if before != tuple(size):
        notes = replace(notes, size_rule=rule or SizeRule(1, before, before, (size[0], size[1]), "matched"))
    if now != channels:
        words = "made grey" if now > channels else "grey shown as three equal channels"
        notes = replace(notes, converted=(*notes.converted, words))
    return replace(imageset, images=fitted, notes=notes)


def _with_unlabelled(first: ImageSet, second: ImageSet) -> ImageSet:
    """Return a set with the images of another one added without labels."""
    notes = first.notes
    return replace(
        first,
        images=joined(first.images, second.images),
        labels=np.concatenate([first.labels, np.full(len(second), UNLABELLED, np.int64)]),
        origins=first.origins + tuple(f"{second.notes.source}/{origin}" for origin in second.origins),
        parts=np.concatenate([first.parts, np.full(len(second), "", "<U5")]),
        sizes=None,
        groups=None if first.groups is None else np.concatenate([first.groups, np.full(len(second), "")]),
        notes=replace(
            notes,
            layout=f"{notes.layout}, and {second.notes.layout}",
            bad_files=notes.bad_files + second.notes.bad_files,
            ignored=Counter(notes.ignored) + Counter(second.notes.ignored),
            converted=notes.converted + second.notes.converted,
            others=notes.others + second.notes.others,
            links=notes.links + second.notes.links,
            ways=tuple(dict.fromkeys(notes.ways + second.notes.ways)),
            generated=notes.generated + second.notes.generated,
            warnings=notes.warnings + second.notes.warnings,
        ),
    )


def _inside(source: object, unlabelled: str | Path | None) -> str:
    """Return the path of `unlabelled` as seen from the source, where it lies in it, else ""."""
    if unlabelled is None or not isinstance(source, str | Path):
        return ""
    inner, outer = Path(unlabelled).expanduser().resolve(), Path(source).expanduser().resolve()
    return inner.relative_to(outer).as_posix() if inner != outer and inner.is_relative_to(outer) else ""


def without_copies(imageset: ImageSet) -> ImageSet:
    """Return the set without unlabelled images that are equal to a labelled one, which are counted in a warning."""
    labelled = imageset.labelled
    if labelled.all() or not labelled.any():
        return imageset
    known = {name for name, has_label in zip(imageset.hashes, labelled, strict=True) if has_label}
    copies = np.array([name in known for name in imageset.hashes], bool) & ~labelled
    if not copies.any():
        return imageset
    first = imageset.origins[int(np.argmax(copies))]
    words = f"{int(copies.sum())} unlabelled images are copies of labelled ones, such as {first}: left out"
    notes = replace(imageset.notes, warnings=(*imageset.notes.warnings, words))
    return replace(imageset.take(~copies), notes=notes)


def _with_groups(found: Listing | ImageSet, group: object) -> ImageSet:
    """Return images that are in memory with the group of each. Raises UsageError for files."""
    if isinstance(found, Listing):
        fix = "name a column of their table, or replace `groups` of the ImageSet"
        raise UsageError("group", "groups were given as values, and the images are files", fix=fix)
    return replace(found, groups=group_names(group, len(found)))


def _refuse_no_variation(imageset: ImageSet) -> None:
    """Raise DataError where all images are equal: nothing can be learned from them."""
    images = imageset.images
    pieces = (images[chunk] for chunk in chunk_slices(images, most=32 << 20))
    if len(images) > 1 and all((piece == images[0]).all() for piece in pieces):
        what = "black" if not images[0].any() else "the same"
        raise DataError(
            "no-variation", f"all {len(images)} images of {imageset.name} are {what}", fix="check how they were written"
        )
