"""Layouts of folders and zips -> which image has which label and part.

class folders        cat/1.png dog/2.png            the folder's name is the class; folders below it belong to it
parts                train/cat/1.png test/cat/2.png  also val, valid, validation
a table              labels.csv beside the images, see tables.py
unlabelled images    unlabelled/ (unlabeled/) beside the classes; images that lie beside class folders; or all of them
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from ..images import LOOKED_FOR, Source
from .names import PART_NAMES, PARTS, alike, ordered, shown
from .tables import TABLE, find_table, read_table
from .trees import Tree, below, suffix

UNLABELLED_FOLDERS = {"unlabelled", "unlabeled"}
OTHER_IMAGES = {".heic", ".heif", ".avif", ".svg", ".jp2", ".psd", ".dng", ".cr2", ".nef", ".arw", ".dcm"}
EXAMPLE = "cat/1.png dog/2.png, or train/cat/1.png test/cat/2.png, or images with a labels.csv (file,label)"

Found = list[tuple[str, str | None, str]]  # path, label or None, part


@dataclass(eq=False)
class Listing:
    """Images found but not decoded: item i has origins[i], labels[i] (None: unlabelled), parts[i] and read(i)."""

    name: str
    source: str
    layout: str
    origins: list[str]
    labels: list[str | None]
    parts: list[str]
    read: Callable[[int], Source]
    classes: list[str] = field(default_factory=list)
    ignored: Counter = field(default_factory=Counter)
    bad_files: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.origins)


def list_tree(tree: Tree, table: Path | None = None) -> Listing:
    """A listing of all images of a tree, labelled as its layout says. `table`: labels that lie elsewhere."""
    tree = descended(tree) if table is None else tree
    if not tree.images:
        raise no_images(tree)
    warnings: list[str] = []
    by_csv = table is not None or find_table(tree)
    parts = part_folders(tree, alone=not by_csv)
    if by_csv:
        found, layout = by_table(tree, table, parts, warnings), "images and a table of labels"
    elif parts:
        found, layout = by_part(tree, parts, warnings), f"{'/ '.join(parts)}/ folders"
    else:
        found = [(path, label, "") for path, label in by_class(tree, warnings)]
        layout = "class folders" if any(label is not None for _, label, _ in found) else "images without labels"
    classes = ordered({label for _, label, _ in found if label is not None})
    refuse_one_each(tree, classes, found)
    warn_of_names(classes, warnings)
    paths = [path for path, _, _ in found]
    return Listing(
        name=tree.name,
        source=shown(tree.top),
        layout=layout,
        origins=paths,
        labels=[label for _, label, _ in found],
        parts=[part for _, _, part in found],
        read=lambda i: tree.read(paths[i]),
        classes=classes,
        ignored=tree.ignored + Counter(f"{suffix(p) or 'no suffix'} files" for p in tree.others if p != TABLE),
        bad_files=list(tree.bad_files),
        warnings=warnings,
    )


def list_unlabelled(tree: Tree) -> Listing:
    """All images of a tree, however it is laid out, without labels."""
    if not tree.images:
        raise no_images(tree)
    paths = tree.images
    return Listing(
        name=tree.name,
        source=shown(tree.top),
        layout="images without labels",
        origins=paths,
        labels=[None] * len(paths),
        parts=[""] * len(paths),
        read=lambda i: tree.read(paths[i]),
        ignored=tree.ignored + Counter(f"{suffix(path) or 'no suffix'} files" for path in tree.others),
        bad_files=list(tree.bad_files),
    )


def merged(first: Listing, second: Listing) -> Listing:
    """Both, the second after the first; names and classes are the first's."""
    cut = len(first)
    return Listing(
        name=first.name,
        source=first.source,
        layout=f"{first.layout}, and {second.layout} in {second.source}",
        origins=first.origins + [f"{second.source}/{origin}" for origin in second.origins],
        labels=first.labels + second.labels,
        parts=first.parts + second.parts,
        read=lambda i: first.read(i) if i < cut else second.read(i - cut),
        classes=first.classes,
        ignored=first.ignored + second.ignored,
        bad_files=first.bad_files + [(f"{second.source}/{origin}", reason) for origin, reason in second.bad_files],
        warnings=first.warnings + second.warnings,
    )


def tops(tree: Tree) -> dict[str, bool]:
    """Folders at the top that hold images, with whether some lie in them directly."""
    direct: dict[str, bool] = {}
    for path in tree.images:
        top, _, rest = path.partition("/")
        if rest:
            direct[top] = direct.get(top, False) or "/" not in rest
    return direct


def descended(tree: Tree) -> Tree:
    """Without the wrapping that zips and downloads often have: one folder that holds folders, and nothing else."""
    while not find_table(tree) and not part_folders(tree):
        found = tops(tree)
        loose = any("/" not in path for path in tree.images)
        if loose or len(found) != 1 or any(found.values()):
            return tree
        (only,) = found
        if only.lower() in UNLABELLED_FOLDERS:
            return tree
        tree = below(tree, only)
    return tree


def part_folders(tree: Tree, *, alone: bool = True) -> list[str]:
    """train/, test/, val/ at the top, where they are parts and not classes: they hold folders, or are all there is.

    `alone`: nothing else than unlabelled/ may lie beside them.
    """
    found = tops(tree)
    named = sorted((t for t in found if t.lower() in PART_NAMES), key=lambda t: PARTS.index(PART_NAMES[t.lower()]))
    nested = any(path.partition("/")[0] in named and path.count("/") > 1 for path in tree.images)
    tables = any(path in {f"{top}/{TABLE}" for top in named} for path in tree.others)
    rest = [top for top in found if top not in named and top.lower() not in UNLABELLED_FOLDERS]
    if not named or not (nested or tables or not rest):
        return []
    if rest and alone:
        raise DataError(
            "data-layout",
            f"beside {'/ and '.join(named)}/ the folder {shown(tree.top)} holds {', '.join(f'{t}/' for t in rest[:5])}",
            fix="move them away, or under unlabelled/, so that the folders are either parts or classes",
        )
    return named


def by_part(tree: Tree, parts: list[str], warnings: list[str]) -> Found:
    """train/<class>/..., test/<class>/..., each part with its own labels.csv if it has one."""
    found: Found = []
    for top in parts:
        piece = below(tree, top)
        if find_table(piece):
            rows = read_table(piece, None, warnings)
            labelled = [(path, rows.get(path, (None, ""))[0]) for path in piece.images]
        else:
            labelled = by_class(piece, warnings)
        found += [(f"{top}/{path}", label, PART_NAMES[top.lower()]) for path, label in labelled]
    there = {path for path, _, _ in found}
    found += [(path, None, "") for path in tree.images if path not in there]  # unlabelled/, and what lies at the top
    if loose := [path for path in tree.images if "/" not in path]:
        warnings.append(f"{len(loose)} images beside the folders of the parts, such as {loose[0]}: taken as unlabelled")
    for missing in sorted({label for _, label, part in found if label and part == "test"} - _labels(found, "train")):
        warnings.append(f"class {missing!r} is in the test part only")
    return found


def _labels(found: Found, part: str) -> set[str]:
    return {label for _, label, where in found if label is not None and where == part}


def by_table(tree: Tree, table: Path | None, parts: list[str], warnings: list[str]) -> Found:
    """Labels from the table; the part too, or from the folder's name where the table has none."""
    rows = read_table(tree, table, warnings)
    if missing := sum(path not in rows for path in tree.images):
        warnings.append(f"{missing} images are not in the table of labels: taken as unlabelled")
    found: Found = []
    for path in tree.images:
        label, part = rows.get(path, (None, ""))
        top = path.partition("/")[0]
        found.append((path, label, part or (PART_NAMES[top.lower()] if top in parts else "")))
    return found


def by_class(tree: Tree, warnings: list[str]) -> list[tuple[str, str | None]]:
    """The first folder is the class. Raises DataError where it is in doubt which folders are classes."""
    found = {top: direct for top, direct in tops(tree).items() if top.lower() not in UNLABELLED_FOLDERS}
    if found and not any(found.values()):
        deep = [path for path in tree.images if path.count("/") > 1]
        raise DataError(
            "data-layout",
            f"images in {shown(tree.top)} lie two or more folders deep ({deep[0]}): which folder is the class?",
            fix=f"pass {' or '.join(f'{shown(tree.top)}/{top}' for top in list(found)[:3])}, "
            f"or lay the images out as {EXAMPLE}",
        )
    if found:
        refuse_empty(tree, found)
        if loose := [path for path in tree.images if "/" not in path]:
            warnings.append(f"{len(loose)} images beside the class folders, such as {loose[0]}: taken as unlabelled")
    return [(path, top if "/" in path and (top := path.partition("/")[0]) in found else None) for path in tree.images]


def refuse_empty(tree: Tree, found: dict[str, bool]) -> None:
    """A folder beside the classes that holds nothing we read is probably a class."""
    for folder in tree.folders:
        if "/" in folder or folder in found or folder.lower() in UNLABELLED_FOLDERS:
            continue
        inside = sorted({suffix(path) for path in tree.others if path.startswith(folder + "/")})
        if not inside or OTHER_IMAGES & set(inside):
            what = f"only {', '.join(inside)} files" if inside else "no images"
            raise DataError(
                "class-empty",
                f"class folder {shown(tree.top)}/{folder} holds {what}; looked for {LOOKED_FOR}",
                fix="put images into it, or remove it",
            )


def refuse_one_each(tree: Tree, classes: list[str], found: Found) -> None:
    labelled = sum(label is not None for _, label, _ in found)
    if len(classes) > 20 and labelled < 1.5 * len(classes):
        raise DataError(
            "one-image-classes",
            f"{shown(tree.top)} has {len(classes)} classes for {labelled} labelled images, about one image a class",
            fix="lay the images out as class folders with several images each, or in one folder without labels",
        )


def warn_of_names(classes: list[str], warnings: list[str]) -> None:
    """Classes that a person would not tell apart are kept apart, and said."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(alike(name), []).append(name)
    for group in groups.values():
        if len(group) > 1:
            warnings.append(f"classes with nearly the same name: {', '.join(map(repr, group))}")
    warnings.extend(f"a class is called {name!r}" for name in classes if alike(name) in {"nan", "none", "null", "n/a"})


def no_images(tree: Tree) -> DataError:
    """The error for a tree without images, with what was found instead."""
    top = shown(tree.top)
    kinds = Counter(suffix(path) or "no suffix" for path in tree.others)
    if kinds:
        seen = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
        found = f"; found {sum(kinds.values())} other files ({seen})"
    else:
        found = "; it is empty" if not tree.bad_files else f"; {len(tree.bad_files)} entries could not be read"
    for path in tree.others:
        if suffix(path) in {".zip", ".npz", ".parquet"}:
            return DataError("data-empty", f"no images in {top}{found}", fix=f"did you mean {top}/{path}?")
    return DataError(
        "data-empty",
        f"no images in {top}: looked for {LOOKED_FOR}{found}",
        fix=f"pass a folder that holds images, laid out as {EXAMPLE}",
    )
