"""Layouts of folders and zips -> which image has which label and part.

class folders        cat/1.png dog/2.png            the folder's name is the class; folders below it belong to it, and
                                                    may be groups (groups.py)
parts                train/cat/1.png test/cat/2.png  also val, valid, validation
a table              labels.csv beside the images, see tables.py
unlabelled images    unlabelled/ (unlabeled/) beside the classes; images that lie beside class folders; or all of them
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from ..images import LOOKED_FOR
from .formats import LoadOptions, file_suffixes
from .groups import FOLDERS, are_groups, by_folder
from .listing import ListedImage, Listing
from .names import PART_NAMES, PARTS, shown_path, typed_alike
from .parquet import list_parquet
from .tables import TABLE, TableRow, find_table, read_table
from .trees import Tree, below, folder_tree, suffix, zip_tree

UNLABELLED_FOLDERS = {"unlabelled", "unlabeled"}
OTHER_IMAGES = {".heic", ".heif", ".avif", ".svg", ".jp2", ".psd", ".dng", ".cr2", ".nef", ".arw", ".dcm"}
EXAMPLE = "cat/1.png dog/2.png, or train/cat/1.png test/cat/2.png, or images with a labels.csv (file,label)"


def read_folder(top: Path, options: LoadOptions) -> Listing:
    """Return what a folder holds: images, or else Parquet files."""
    tree = folder_tree(top, follow_links=options.follow_links)
    tables = [top / path for path in tree.others if path.endswith(".parquet")]
    return list_parquet(tables, top, options) if tables and not tree.images else list_tree(tree, options)


def read_zip(file: Path, options: LoadOptions) -> Listing:
    """Return the images of a zip, or of a folder in it."""
    return list_tree(zip_tree(file, options.inside), options)


def list_tree(tree: Tree, options: LoadOptions = LoadOptions()) -> Listing:  # noqa: B008 frozen
    """Return all images of a tree, labelled as its layout says, or all unlabelled where that is asked for.

    Raises DataError where there is no image, or where it is in doubt which folder is the class.
    """
    table = options.table
    if table is None and not options.unlabelled:
        tree = _unwrapped(tree)
    if not tree.images:
        raise _no_images(tree)
    warnings: list[str] = []
    by_table = table is not None or find_table(tree)
    if options.unlabelled:
        items, layout, by_table = [ListedImage(path) for path in tree.images], "images without labels", False
    elif by_table:
        parts = _part_folders(tree, alone=False)
        items, layout = _by_table(tree, options, parts, warnings=warnings), "images and a table of labels"
    elif parts := _part_folders(tree):
        items, layout = _by_part(tree, options, parts, warnings), f"{'/ '.join(parts)}/ folders"
    else:
        items = by_folder(_by_class(tree, options, warnings), (), options.group, shown_path(tree.top), warnings)
        layout = "class folders" if any(item.label is not None for item in items) else "images without labels"
    others = [path for path in tree.others if path != TABLE or options.unlabelled]
    listing = Listing(
        name=tree.name,
        source=shown_path(tree.top),
        layout=layout,
        items=items,
        read=lambda i: tree.read(items[i].origin),
        ignored=tree.ignored + Counter(f"{suffix(path) or 'no suffix'} files" for path in others),
        bad_files=list(tree.bad_files),
        warnings=warnings,
    )
    labelled = sum(item.label is not None for item in items)
    if len(listing.classes) > 20 and labelled < 1.5 * len(listing.classes):
        raise DataError(
            "one-image-classes",
            f"{listing.source} has {len(listing.classes)} classes for {labelled} labelled images, about one image a "
            "class",
            fix="lay the images out as class folders with several images each, or in one folder without labels",
        )
    warnings += _name_warnings(listing.classes)
    return listing


def _top_folders(tree: Tree) -> dict[str, bool]:
    """Return the folders at the top that hold images, with whether some lie in them directly."""
    direct: dict[str, bool] = {}
    for path in tree.images:
        top, _, rest = path.partition("/")
        if rest:
            direct[top] = direct.get(top, False) or "/" not in rest
    return direct


def _loose_images(tree: Tree, beside: str) -> list[str]:
    """Return a warning of images that lie beside folders."""
    loose = [path for path in tree.images if "/" not in path]
    return [f"{len(loose)} images beside {beside}, such as {loose[0]}: taken as unlabelled"] if loose else []


def _unwrapped(tree: Tree) -> Tree:
    """Return the tree without the folder that zips and downloads often wrap around the others."""
    while not find_table(tree) and not _part_folders(tree):
        found = _top_folders(tree)
        loose = any("/" not in path for path in tree.images)
        if loose or len(found) != 1 or any(found.values()) or next(iter(found)).lower() in UNLABELLED_FOLDERS:
            return tree
        tree = below(tree, next(iter(found)))
    return tree


def _part_folders(tree: Tree, *, alone: bool = True) -> list[str]:
    """Return train/, test/, val/ at the top where they are parts, not classes: they hold folders, or are all there is.

    `alone`: raise DataError for anything beside them but unlabelled/.
    """
    found = _top_folders(tree)
    named = sorted((t for t in found if t.lower() in PART_NAMES), key=lambda t: PARTS.index(PART_NAMES[t.lower()]))
    nested = any(path.partition("/")[0] in named and path.count("/") > 1 for path in tree.images)
    tables = any(path in {f"{top}/{TABLE}" for top in named} for path in tree.others)
    rest = [top for top in found if top not in named and top.lower() not in UNLABELLED_FOLDERS]
    if not named or not (nested or tables or not rest):
        return []
    if rest and alone:
        others = ", ".join(f"{top}/" for top in rest[:5])
        raise DataError(
            "data-layout",
            f"beside {'/ and '.join(named)}/ the folder {shown_path(tree.top)} holds {others}",
            fix="move them away, or under unlabelled/, so that the folders are either parts or classes",
        )
    return named


def _by_part(tree: Tree, options: LoadOptions, parts: Sequence[str], warnings: list[str]) -> list[ListedImage]:
    """Label train/<class>/..., test/<class>/..., each part by its own labels.csv if it has one."""
    found: list[ListedImage] = []
    tables = False
    for top in parts:
        piece = below(tree, top)
        tables = tables or find_table(piece)
        found += [
            item._replace(origin=f"{top}/{item.origin}", part=PART_NAMES[top.lower()])
            for item in (_by_table if find_table(piece) else _by_class)(piece, options, warnings=warnings)
        ]
    if not tables:
        found = by_folder(found, parts, options.group, shown_path(tree.top), warnings)
    labels = {part: {item.label for item in found if item.part == part} - {None} for part in ("train", "test")}
    there = {item.origin for item in found}
    found += [ListedImage(path) for path in tree.images if path not in there]  # unlabelled/, and images at the top
    warnings += _loose_images(tree, "the folders of the parts")
    for missing in sorted(label for label in labels["test"] - labels["train"] if label):
        warnings.append(f"class {missing!r} is in the test part only")
    return found


def _by_table(tree: Tree, options: LoadOptions, parts: Sequence[str] = (), *, warnings: list[str]) -> list[ListedImage]:
    """Label images by a table; their part is from the table too, or from the folder's name where it has none."""
    rows = read_table(tree, options.table, warnings, options.group)
    if missing := sum(path not in rows for path in tree.images):
        warnings.append(f"{missing} images are not in the table of labels: taken as unlabelled")
    folder_part = {top: PART_NAMES[top.lower()] for top in parts}
    found = [(path, rows.get(path, TableRow(None))) for path in tree.images]
    items = [
        ListedImage(path, row.label, row.part or folder_part.get(path.partition("/")[0], ""), row.group)
        for path, row in found
    ]
    if options.group == FOLDERS:
        items = [item._replace(group=item.origin.rpartition("/")[0]) for item in items]
    return items


def _by_class(tree: Tree, options: LoadOptions, warnings: list[str]) -> list[ListedImage]:
    """Label images by their first folder. Raises DataError where it is in doubt which folders are classes."""
    found = {top: direct for top, direct in _top_folders(tree).items() if top.lower() not in UNLABELLED_FOLDERS}
    inside = [path for path in tree.images if path.partition("/")[0] in found and "/" in path]
    if found and not any(found.values()) and options.group is None and not are_groups(inside):
        deep = [path for path in tree.images if path.count("/") > 1]
        raise DataError(
            "data-layout",
            f"images in {shown_path(tree.top)} lie two or more folders deep ({deep[0]}): which folder is the class?",
            fix=f"pass {' or '.join(f'{shown_path(tree.top)}/{top}' for top in list(found)[:3])}; or --group "
            f"{FOLDERS}, if the first folder is the class and the folders in it are patients, videos or the like; "
            f"or lay the images out as {EXAMPLE}",
        )
    if found:
        _refuse_empty_class(tree, found)
        warnings += _loose_images(tree, "the class folders")
    tops = [(path, path.partition("/")[0]) for path in tree.images]
    return [ListedImage(path, top if top != path and top in found else None) for path, top in tops]


def _refuse_empty_class(tree: Tree, found: dict[str, bool]) -> None:
    """A folder beside the classes without an image that we read is probably a class too."""
    for folder in tree.folders:
        if "/" in folder or folder in found or folder.lower() in UNLABELLED_FOLDERS:
            continue
        inside = sorted({suffix(path) for path in tree.others if path.startswith(folder + "/")})
        if not inside or OTHER_IMAGES & set(inside):
            what = f"only {', '.join(inside)} files" if inside else "no images"
            raise DataError(
                "class-empty",
                f"class folder {shown_path(tree.top)}/{folder} holds {what}; looked for {LOOKED_FOR}",
                fix="put images into it, or remove it",
            )


def _name_warnings(classes: Sequence[str]) -> list[str]:
    """Return warnings of classes whose names hardly differ, which stay apart, and of names such as "nan"."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(typed_alike(name), []).append(name)
    close = [", ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    odd = [name for name in classes if typed_alike(name) in {"nan", "none", "null", "n/a"}]
    return [f"classes with nearly the same name: {names}" for names in close] + [
        f"a class is called {n!r}" for n in odd
    ]


def _no_images(tree: Tree) -> DataError:
    """Return the error for a tree without images, with what was found instead."""
    top = shown_path(tree.top)
    kinds = Counter(suffix(path) or "no suffix" for path in tree.others)
    if kinds:
        seen = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
        found = f"; found {sum(kinds.values())} other files ({seen})"
    else:
        found = "; it is empty" if not tree.bad_files else f"; {len(tree.bad_files)} entries could not be read"
    archive = next((path for path in tree.others if suffix(path) in file_suffixes()), None)
    fix = f"did you mean {top}/{archive}?" if archive else f"pass a folder that holds images, laid out as {EXAMPLE}"
    looked = "" if archive else f": looked for {LOOKED_FOR}"
    return DataError("data-empty", f"no images in {top}{looked}{found}", fix=fix)
