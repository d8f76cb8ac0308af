"""Layouts of folders and zips -> which image has which label and part.

class folders        cat/1.png dog/2.png            the folder's name is the class; folders below it belong to it, and
                                                    may be groups (groups.py)
parts                train/cat/1.png test/cat/2.png  also train_images, validation, dev, ... (spellings.py)
a table              labels.csv, metadata.csv, train.csv ... beside the images, or in a folder without any
unlabelled images    unlabelled/, no_label/ ... beside the classes; images that lie beside class folders; or all
masks                1_mask.png beside 1.png are left out (masks.py)
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import DataError, UsageError
from ..images.kinds import LOOKED_FOR, OTHER_IMAGES, advice_for, suffix
from ..words import plural
from .arrays import read_array_folder
from .formats import LoadOptions, file_suffixes
from .groups import FOLDERS, NONE, are_groups, by_folder
from .imageset import ImageSet
from .listing import ListedImage, Listing
from .masks import without_masks
from .names import PARTS, natural, ready, shown_path, typed_alike
from .parquet import holds_images, list_parquet
from .spellings import containers, crossed_parts, doubtful_pool, named_parts, pool_beginning, table_name
from .table_files import TABLE_SUFFIXES
from .tables import TableRow, read_table
from .tree_tables import TreeTables, labels_file, tree_tables
from .trees import FOLLOW_LINKS, Tree, below, folder_tree, kinds_of, zip_tree

SILENT_POOLS = {"unlabelled", "unlabeled"}  # the names that the documentation gives: nothing needs to be said
NO_TABLE = Path("none")  # as `table`: the folders say which image has which label, whatever tables lie there
EXAMPLE = "cat/1.png dog/2.png, or train/cat/1.png test/cat/2.png, or images with a labels.csv (file,label)"


def read_folder(top: Path, options: LoadOptions) -> Listing | ImageSet:
    """Return what a folder holds: images, Parquet files that hold some, or else arrays."""
    tree = folder_tree(top, follow_links=options.follow_links, films=options.films)
    if options.without:
        tree = _left_after(tree, options.without)
    tables = [top / path for path in tree.others if path.endswith(".parquet")]
    tables = tables if not tree.images else [path for path in tables if holds_images(path)]
    if tables and options.table not in (None, NO_TABLE):
        raise UsageError("labels-twice", f"{top} has its own labels", fix="leave the table of labels out")
    if tables:
        listing = list_parquet(tables, top, label=options.label, group=options.group)
        return _beside_previews(listing, tree) if tree.images else listing
    arrays = [path for path in tree.others if suffix(path) == ".npy"]
    if arrays and not tree.images:
        return read_array_folder([top / path for path in arrays], top, group=options.group)
    return list_tree(tree, options)


def read_zip(file: Path, options: LoadOptions) -> Listing:
    """Return the images of a zip, or of a folder in it."""
    tree = zip_tree(file, options.inside, films=options.films)
    return list_tree(_left_after(tree, options.without) if options.without else tree, options)


def _beside_previews(listing: Listing, tree: Tree) -> Listing:
    """Return what Parquet files hold where a few images lie beside them. Raises DataError where these are more."""
    if len(tree.images) >= len(listing):
        folder = tree.images[0].rpartition("/")[0]
        file = next(path for path in tree.others if path.endswith(".parquet"))
        raise DataError(
            "data-layout",
            f"{shown_path(tree.top)} holds {len(tree.images)} image files and Parquet files with {len(listing)} images",
            fix=ready((f"{tree.top}/{folder}" if folder else f"{tree.top}/*",), (f"{tree.top}/{file}",)),
        )
    words = f"{len(tree.images)} image files beside the Parquet files, such as {tree.images[0]}: left out"
    listing.warnings.append(words)
    listing.ignored["image files beside Parquet"] += len(tree.images)
    return listing


def list_tree(tree: Tree, options: LoadOptions = LoadOptions()) -> Listing:  # noqa: B008 frozen
    """Return all images of a tree, labelled as its layout says, or all unlabelled where that is asked for.

    Raises DataError where there is no image, or where it is in doubt which folder is the class.
    """
    warnings: list[str] = []
    tree = without_masks(tree, warnings)
    found = TreeTables()
    if not options.unlabelled and options.table in (None, NO_TABLE):
        tree, _, found = _unwrapped(tree, options, warnings)
    if not tree.images:
        raise _no_images(tree)
    if options.unlabelled:
        items, layout = [ListedImage(path) for path in tree.images], "images without labels"
    else:
        items, layout = _labelled(tree, found, options, warnings)
    others = [path for path in tree.others if path not in found.used]
    warnings += [f"{table} was not used: {why}" for table, why in found.unread]
    listing = Listing(
        name=tree.name,
        source=shown_path(tree.top),
        layout=layout,
        items=items,
        read=lambda i: tree.read(items[i].origin),
        ignored=tree.ignored + kinds_of(others),
        bad_files=list(tree.bad_files),
        warnings=warnings,
        others=others,
        links=list(tree.links),
        unread=found.unread,
    )
    labelled = sum(item.label is not None for item in items)
    if not labelled and found.doubt is not None:
        raise found.doubt
    if len(listing.classes) > 20 and labelled < 1.5 * len(listing.classes):
        raise DataError(
            "one-image-classes",
            f"{listing.source} has {len(listing.classes)} classes for {labelled} labelled images, about one image a "
            "class",
            fix="lay the images out as class folders with several images each, or in one folder without labels",
        )
    warnings += _name_warnings(listing.classes)
    return listing


def _labelled(
    tree: Tree, found: TreeTables, options: LoadOptions, warnings: list[str]
) -> tuple[list[ListedImage], str]:
    """Return the images with their labels and parts, and the layout in words."""
    rows = found.rows
    if options.table not in (None, NO_TABLE):
        rows = read_table(tree, options.table, warnings, label=options.label, group=options.group)
        if all(row.label is None for row in rows.values()) and any(row.group for row in rows.values()):
            found.groups, rows = {path: row.group for path, row in rows.items()}, {}
    if rows:
        parts = _part_folders(tree, options, alone=False)
        others = [table for table in found.used if not labels_file(table)]
        layout = ", ".join(["images and a table of labels", *others])
        return _with_groups(_by_table(tree, rows, parts, options, warnings), found), layout
    if parts := _part_folders(tree, options):
        items = _by_part(tree, parts, options, found, warnings)
        layout = f"{'/ '.join(parts)}/ folders"
    else:
        group = NONE if found.groups or found.ungrouped else options.group
        items = by_folder(_by_class(tree, options, warnings), (), group, shown_path(tree.top), warnings)
        layout = "class folders" if any(item.label is not None for item in items) else "images without labels"
    items = _with_groups(items, found)
    if options.label and not found.used:
        raise found.doubt or UsageError(
            "label-column",
            f"--label {options.label}: {shown_path(tree.top)} has no table with such a column",
            fix="leave --label out, or name the table with --table",
        )
    if found.class_names:
        items = [item._replace(label=found.class_names.get(item.label or "", item.label)) for item in items]
        warnings.append(f"{' and '.join(found.used)} names the classes, and no files: the names are used")
    return items, layout


def _with_groups(items: list[ListedImage], found: TreeTables) -> list[ListedImage]:
    """Return images with their groups, where a table without labels says these. Raises UsageError where no table has
    the column that was asked for."""
    items = [item._replace(group=found.groups.get(item.origin) or item.group) for item in items]
    if found.ungrouped and not any(item.group for item in items):
        raise found.ungrouped
    return items


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


def _left_after(tree: Tree, folder: str) -> Tree:
    """Return the tree without what lies in one of its folders."""

    def rest(paths: list[str]) -> list[str]:
        return [path for path in paths if path != folder and not path.startswith(folder + "/")]

    return replace(tree, images=rest(tree.images), others=rest(tree.others), folders=rest(tree.folders))


def _is_pool(folder: str, options: LoadOptions) -> bool:
    """Return whether a folder's name says that its images have no labels."""
    return options.pools and pool_beginning(folder)


def _unwrapped(
    tree: Tree, options: LoadOptions, warnings: list[str], *, parts: bool = True
) -> tuple[Tree, str, TreeTables]:
    """Return the tree without the folders that zips and downloads often wrap around the others, these folders, and what
    the tables in them say.

    `parts`: stop at folders of parts.
    """
    said, prefix = TreeTables(), ""
    while True:
        said.add(
            tree_tables(tree, warnings, label=options.label, group=options.group)
            if options.table is None
            else TreeTables()
        )
        found = _top_folders(tree)
        loose = any("/" not in path for path in tree.images)
        only = next(iter(found)) if len(found) == 1 and not loose else ""
        if not only or said.rows or (parts and _part_folders(tree, options)) or _is_pool(only, options):
            return tree, prefix, said
        if found[only] and not (containers([only]) or (not parts and named_parts([only]))):
            return tree, prefix, said
        tree, prefix = below(tree, only), f"{prefix}{only}/"
        said.below(only)


def _part_folders(tree: Tree, options: LoadOptions, *, alone: bool = True) -> dict[str, str]:
    """Return the folders at the top that are parts, not classes: they hold folders or tables, or are all there is.

    `alone`: raise DataError for anything beside them but unlabelled images.
    """
    found = _top_folders(tree)
    parts = named_parts(found)
    named = {top: parts[top] for top in sorted(parts, key=lambda top: (PARTS.index(parts[top]), natural(top)))}
    nested = any(path.partition("/")[0] in named and path.count("/") > 1 for path in tree.images)
    tables = any(path.count("/") == 1 and path.partition("/")[0] in named for path in tree.others if _is_table(path))
    rest = [top for top in found if top not in named and not _is_pool(top, options)]
    if not named or not (nested or tables or not rest or len(set(named.values())) > 1):
        return {}
    if rest and alone:
        others = ", ".join(f"{top}/" for top in rest[:5])
        extra = [(tree.top, "--unlabelled", f"{tree.top}/{top}") for top in rest[:1] if len(rest) == 1]
        either = f"; if it holds images without labels: {ready(*extra)}" if extra else ""
        raise DataError(
            "data-layout",
            f"beside {'/ and '.join(named)}/ the folder {shown_path(tree.top)} holds {others}",
            fix=f"move them away, or under unlabelled/, so that the folders are either parts or classes{either}",
        )
    return named


def _is_table(path: str) -> bool:
    return suffix(path) in TABLE_SUFFIXES and table_name(path.rpartition("/")[2])


def _by_part(
    tree: Tree, parts: Mapping[str, str], options: LoadOptions, said: TreeTables, warnings: list[str]
) -> list[ListedImage]:
    """Label train/<class>/..., test/<class>/..., each part by its own table if it has one."""
    found: list[ListedImage] = []
    above: list[str] = []
    for top, part in parts.items():
        piece, prefix, tables = _unwrapped(below(tree, top), options, warnings, parts=False)
        above.append(f"{top}/{prefix}")
        said.add(replace(tables, rows={}), above[-1])
        rows = tables.rows
        items = _by_table(piece, rows, {}, options, warnings) if rows else _by_class(piece, options, warnings)
        found += [item._replace(origin=f"{above[-1]}{item.origin}", part=part) for item in items]
    if not said.used and not said.groups and not said.ungrouped:
        found = by_folder(found, above, options.group, shown_path(tree.top), warnings)
    there = {item.origin for item in found}
    rest = [path for path in tree.images if path not in there]  # unlabelled images, and images at the top
    warnings += _loose_images(tree, "the folders of the parts") + _pool_warnings(tree, options)
    return _checked_parts(_one_spelling(found, warnings), parts, warnings) + [ListedImage(path) for path in rest]


def _checked_parts(items: list[ListedImage], parts: Mapping[str, str], warnings: list[str]) -> list[ListedImage]:
    """Return images of parts as they are for the study; say which parts have no labels or classes of their own.

    Where all labels are in the validation part, it is no part: the images to learn from are among them.
    """
    labels = {part: {item.label for item in items if item.part == part} - {None} for part in PARTS}
    for missing in sorted(label for label in labels["test"] - labels["train"] if label and labels["train"]):
        warnings.append(f"class {missing!r} is in the test part only")
    labelled = [part for part in PARTS if labels[part]]
    for part in (part for part in PARTS if labelled and not labels[part] and part in parts.values()):
        folders = "/, ".join(top for top in parts if parts[top] == part)
        warnings.append(f"the images of {folders}/ have no labels: the {part} part cannot be tested on or learned from")
    if labelled == ["val"]:
        items = [item._replace(part="") if item.part == "val" else item for item in items]
    return items


def _one_spelling(items: list[ListedImage], warnings: list[str]) -> list[ListedImage]:
    """Return the images with one label where parts write it in two Unicode forms, as computers of two kinds do."""
    forms: dict[str, dict[str, set[str]]] = {}
    for item in items:
        if item.label is not None:
            forms.setdefault(unicodedata.normalize("NFC", item.label), {}).setdefault(item.label, set()).add(item.part)
    joined = {
        label: name
        for name, labels in forms.items()
        if len(labels) > 1 and sum(map(len, labels.values())) == len(set[str]().union(*labels.values()))
        for label in labels
    }
    if joined:
        names = ", ".join(sorted(set(joined.values())))
        warnings.append(f"classes written in two Unicode forms in different parts are taken as one: {names}")
    return [item._replace(label=joined.get(item.label or "", item.label)) for item in items]


def _by_table(
    tree: Tree, rows: Mapping[str, TableRow], parts: Mapping[str, str], options: LoadOptions, warnings: list[str]
) -> list[ListedImage]:
    """Label images by a table; their part is from the table too, or from the folder's name where it has none."""
    if missing := sum(path not in rows for path in tree.images):
        warnings.append(f"{missing} images are not in the table of labels: taken as unlabelled")
    found = [(path, rows.get(path, TableRow(None))) for path in tree.images]
    items = [
        ListedImage(path, row.label, row.part or parts.get(path.partition("/")[0], ""), row.group)
        for path, row in found
    ]
    if options.group == FOLDERS:
        items = [item._replace(group=item.origin.rpartition("/")[0]) for item in items]
    return _checked_parts(items, parts, warnings)


def _pool_warnings(tree: Tree, options: LoadOptions) -> list[str]:
    """Return a line for each folder that is taken as unlabelled by a name that the documentation does not give."""
    counts = Counter(path.partition("/")[0] for path in tree.images if "/" in path)
    pools = [top for top in counts if _is_pool(top, options) and top.lower() not in SILENT_POOLS]
    return [f"{counts[top]} images in {top}/: taken as unlabelled" for top in pools]


def _by_class(tree: Tree, options: LoadOptions, warnings: list[str]) -> list[ListedImage]:
    """Label images by their first folder. Raises DataError where it is in doubt which folders are classes."""
    found = {top: direct for top, direct in _top_folders(tree).items() if not _is_pool(top, options)}
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
    if options.pools and (crossed := crossed_parts(found)):
        raise DataError(
            "data-layout",
            f"the folders {', '.join(crossed[:4])} in {shown_path(tree.top)} name a class and a part each",
            fix="lay the images out as train/cat/1.png test/cat/2.png; if each is a class of its own: "
            + ready((tree.top, "--unlabelled", "none")),
        )
    _refuse_doubtful_pool(tree, found, options)
    warnings += _pool_warnings(tree, options)
    if found and options.pools and containers(list(found)):
        warnings.append(f"{', '.join(f'{top}/' for top in found)} are called like images, not like classes: unlabelled")
        found = {}
    if found:
        _refuse_empty_class(tree, found, options)
        warnings += _loose_images(tree, "the class folders")
    tops = [(path, path.partition("/")[0]) for path in tree.images]
    return [ListedImage(path, top if top != path and top in found else None) for path, top in tops]


def _refuse_doubtful_pool(tree: Tree, classes: Sequence[str] | Mapping[str, bool], options: LoadOptions) -> None:
    """Raise DataError where a folder beside the classes may hold images without labels, and may be a class."""
    if not options.pools:
        return
    doubtful = [top for top in classes if doubtful_pool(top)] if len(classes) > 1 else []
    if len(classes) == 1:
        doubtful = [top for top in _top_folders(tree) if _is_pool(top, options) and top.lower() not in SILENT_POOLS]
    if doubtful:
        count = sum(path.startswith(doubtful[0] + "/") for path in tree.images)
        choices = [(tree.top, "--unlabelled", option) for option in (f"{tree.top}/{doubtful[0]}", "none")]
        raise DataError(
            "data-pool",
            f"{shown_path(tree.top)}/{doubtful[0]} holds {count} images beside the classes: are they without labels, "
            "or is it a class?",
            fix=f"{ready(*choices)}: the first where they have no labels, the second where it is a class",
        )


def _refuse_empty_class(tree: Tree, found: Mapping[str, bool], options: LoadOptions) -> None:
    """A folder beside the classes without an image that we read is probably a class too."""
    for folder in tree.folders:
        if "/" in folder or folder in found or _is_pool(folder, options):
            continue
        others = [path for path in tree.others if path.startswith(folder + "/")]
        linked = sum(path.startswith(folder + "/") for path in tree.links)
        inside = sorted({suffix(path) for path in others})
        if linked or not inside or OTHER_IMAGES & set(inside):
            what = f"only {', '.join(inside)} files" if inside else "no images"
            if linked:
                what = f"only {plural(linked, 'link')} that lead out of the folder"
            fixes = [FOLLOW_LINKS] * bool(linked) + advice_for(others) + ["put images into it, or remove it"]
            raise DataError(
                "class-empty",
                f"class folder {shown_path(tree.top)}/{folder} holds {what}; looked for {LOOKED_FOR}",
                fix="; ".join(fixes),
            )


def _name_warnings(classes: Sequence[str]) -> list[str]:
    """Return warnings of classes whose names hardly differ, which stay apart, and of names such as "nan"."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(typed_alike(name), []).append(name)
    close = [
        ", ".join(map(repr, group))
        + " (the same letters in two Unicode forms)"
        * (len({unicodedata.normalize("NFC", name) for name in group}) < len(group))
        for group in groups.values()
        if len(group) > 1
    ]
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
    elif tree.links:
        links = f"{plural(len(tree.links), 'link')}, such as {tree.links[0]},"
        found = f"; {links} lead out of the folder and were not followed"
    else:
        found = "; it is empty" if not tree.bad_files else f"; {len(tree.bad_files)} entries could not be read"
    archive = next((path for path in tree.others if suffix(path) in file_suffixes()), None)
    fix = f"pass a folder that holds images, laid out as {EXAMPLE}"
    if archive:
        inside = not Path(tree.top).is_dir()  # then it has no path of its own
        fix = f"unpack {top}, and pass {archive}" if inside else f"pass {top}/{archive}, if that is meant"
    if ways := [FOLLOW_LINKS] * bool(tree.links) + advice_for(tree.others):
        fix = "; ".join(ways)
    looked = "" if archive else f": looked for {LOOKED_FOR}"
    return DataError("data-empty", f"no images in {top}{looked}{found}", fix=fix)
