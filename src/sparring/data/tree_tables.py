"""The tables that lie in a folder or zip: which label its images, which only name its classes, which cannot be read.

Tables are looked for at the top and in folders without images. A table called train.csv names images of train folders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import DataError, UsageError
from .groups import NONE
from .names import ready, shown_path, typed_alike
from .spellings import containers, guesses, named_parts, pool_beginning, table_name
from .table_files import OTHER_TABLES, TABLE_SUFFIXES, RawTable
from .tables import (
    TableRow,
    file_column,
    finder_for,
    group_table,
    headless,
    labels_or_groups,
    names_images,
    no_columns,
    table_in,
    table_rows,
)
from .trees import Tree, suffix

UNREADABLE = ("labels-json", "labels-csv", "labels-columns")  # errors of tables that are none of labels
MOST_TABLES = 40  # of more, those are read that are called like tables of labels


@dataclass(eq=False)
class TreeTables:
    """What the tables of a tree say.

    rows         path -> label, part and group
    groups       path -> group, by tables that say no labels
    used         the tables that label images, group them or name classes
    class_names  the name of a class folder -> the name of the class
    unread       (table, why it was not used)
    doubt        the error to raise where nothing else labels the images
    ungrouped    the error to raise where no table has the column of groups that was asked for
    """

    rows: dict[str, TableRow] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    class_names: dict[str, str] = field(default_factory=dict)
    unread: list[tuple[str, str]] = field(default_factory=list)
    doubt: DataError | None = None
    ungrouped: UsageError | None = None

    def add(self, more: "TreeTables", folder: str = "") -> None:
        """Take what other tables say; `folder`: where their tree lies in this one."""
        self.rows |= more.rows
        self.groups |= {folder + path: group for path, group in more.groups.items()}
        self.class_names |= more.class_names
        self.used += [folder + path for path in more.used]
        self.unread += more.unread
        self.doubt = self.doubt or more.doubt
        self.ungrouped = self.ungrouped or more.ungrouped

    def below(self, folder: str) -> None:
        """Name images as seen from this folder, which holds all."""
        self.groups = {path.removeprefix(folder + "/"): group for path, group in self.groups.items()}


def table_candidates(tree: Tree) -> list[str]:
    """Return the files that may be tables of the labels of this tree."""
    holding = {"/".join(path.split("/")[:depth]) for path in tree.images for depth in range(1, path.count("/") + 1)}
    stems = {path.rpartition(".")[0] for path in tree.images}
    free = [path for path in tree.others if path.rpartition("/")[0] not in holding]
    named = {path for path in free if table_name(path.rpartition("/")[2])}
    found = [
        path for path in free if suffix(path) in TABLE_SUFFIXES or (suffix(path) in OTHER_TABLES and path in named)
    ]
    found = [path for path in found if suffix(path) != ".json" or path.rpartition(".")[0] not in stems]
    return found if len(found) <= MOST_TABLES else [path for path in found if path in named]


def labels_file(path: str) -> bool:
    """Return whether a table is called labels.csv, whatever its ending and case: such a table is always read."""
    return path.rpartition("/")[2].lower() in {f"labels{ending}" for ending in TABLE_SUFFIXES if ending != ".json"}


def class_folders(tree: Tree) -> dict[str, str]:
    """Return path -> the folder that would be its class, of images in folders that are called like classes."""
    start = _wrapped(tree)
    tops = {path.split("/")[start] for path in tree.images if path.count("/") > start}
    parts = named_parts(tops)
    start += bool(tops) and set(parts) == tops
    found = {path: path.split("/")[start] for path in tree.images if path.count("/") > start}
    found = {path: folder for path, folder in found.items() if folder not in parts and not pool_beginning(folder)}
    names = sorted(set(found.values()))
    return {} if len(names) < 2 or containers(names) else found


def _wrapped(tree: Tree) -> int:
    """Return how many folders lie around all images, one in the other."""
    folders = [path.split("/")[:-1] for path in tree.images] or [[]]
    return next(
        (depth for depth, names in enumerate(zip(*folders, strict=False)) if len(set(names)) > 1),
        max(0, min(map(len, folders)) - 1),
    )


def tree_tables(tree: Tree, warnings: list[str], *, label: str = "", group: str | None = None) -> TreeTables:
    """Return what the tables of a tree say. Raises DataError for a labels.csv that cannot be read, and for tables that
    contradict each other or the folders."""
    said, folders, top = TreeTables(), class_folders(tree), shown_path(tree.top)
    by_table: dict[str, dict[str, TableRow]] = {}
    for path in table_candidates(tree):
        if suffix(path) in OTHER_TABLES:
            said.unread.append(
                (f"{top}/{path}", f"tables are read from {', '.join(TABLE_SUFFIXES[:3])} files: save it so")
            )
            continue
        if guesses(path.rpartition("/")[2]):
            said.unread.append((f"{top}/{path}", "it is called like answers to be handed in"))
            continue
        try:
            if rows := _read(tree, path, folders, said, warnings, label, group):
                by_table[path] = rows
        except DataError as error:
            if labels_file(path) and not (folders and error.id == "labels-columns"):
                raise
            if suffix(path) != ".json" or table_name(path.rpartition("/")[2]):
                name = f"{top}/{path}"
                why = error.problem.removeprefix(f"{name}, line 1: ").removeprefix(f"{name} ").removeprefix(f"{name}: ")
                said.unread.append((name, why))
            if error.id not in UNREADABLE:
                said.doubt = said.doubt or error
    if by_table:
        said.used += by_table
        said.rows = _all_rows(by_table, tree)
        if folders and not any(map(labels_file, by_table)):
            said.rows = _beside_folders(said.rows, folders, list(by_table), tree, warnings)
    return said


def _read(
    tree: Tree,
    path: str,
    folders: Mapping[str, str],
    said: TreeTables,
    warnings: list[str],
    label: str,
    group: str | None,
) -> dict[str, TableRow]:
    """Return the rows of one table; none where it labels no images, which is then noted. Raises DataError."""
    raw = table_in(tree, path)
    finder = finder_for(tree, path, _of_part(tree, path))
    file = file_column(raw, finder, label)
    if (names := _names_of_classes(raw, sorted(set(folders.values())))) is not None:
        said.class_names |= names
        if names:
            said.used.append(path)
        else:
            said.unread.append((f"{shown_path(tree.top)}/{path}", "it lists the classes, and the folders name them"))
        return {}
    if not names_images(raw, file, finder) and (not labels_file(path) or folders):
        said.unread.append((f"{shown_path(tree.top)}/{path}", "no column of it names images that are here"))
        return {}
    if file is None or headless(raw, finder):
        raise no_columns(raw, ("file", "label"))
    try:
        group_table(raw, file, tree, group)
    except UsageError as error:  # another table may have the column
        said.ungrouped, group = said.ungrouped or error, NONE
    label = label if label in raw.header else ""
    table = labels_or_groups(raw, file, tree, warnings, label=label, group=group, guess=not folders)
    rows = table_rows(table, finder, tree, warnings)
    if not table.of_groups:
        return rows
    said.used.append(path)
    said.groups |= {image: row.group for image, row in rows.items()}
    return {}


def _of_part(tree: Tree, table: str) -> list[str] | None:
    """Return the images of the part that a table's name says, None for all."""
    stem = table.rpartition("/")[2].rpartition(".")[0]
    part = named_parts([stem]).get(stem)
    parts = named_parts({folder for path in tree.images for folder in path.split("/")[:-1]})
    found = [path for path in tree.images if part in {parts.get(folder) for folder in path.split("/")[:-1]}]
    return found if part and found else None


def _all_rows(by_table: Mapping[str, dict[str, TableRow]], tree: Tree) -> dict[str, TableRow]:
    """Return the rows of all tables. Raises DataError where two label one image differently."""
    stems = {path: path.rpartition("/")[2].rpartition(".")[0] for path in by_table}
    parts = named_parts(stems.values()) if len(by_table) > 1 else {}
    rows: dict[str, TableRow] = {}
    source: dict[str, str] = {}
    for table, found in by_table.items():
        for path, (label, part, group) in found.items():
            before = rows[path].group if path in rows else ""
            row = TableRow(label, part or parts.get(stems[table], ""), group or before)
            if path in rows and rows[path].label != row.label:
                raise DataError(
                    "labels-tables",
                    f"{source[path]} and {table} in {shown_path(tree.top)} label {path} as {rows[path].label!r} and as "
                    f"{row.label!r}",
                    fix=ready(*((tree.top, "--table", f"{tree.top}/{name}") for name in (source[path], table))),
                )
            rows[path], source[path] = row, table
    return rows


def _beside_folders(
    rows: dict[str, TableRow], folders: Mapping[str, str], tables: Sequence[str], tree: Tree, warnings: list[str]
) -> dict[str, TableRow]:
    """Return the rows with the folders as labels where both divide the images alike. Raises DataError if not."""
    both = {(folders[path], row.label) for path, row in rows.items() if path in folders and row.label is not None}
    name = " and ".join(tables)
    if len(both) == len({folder for folder, _ in both}) == len({label for _, label in both}):
        warnings.append(f"{name} divides the images as the folders do: the folders name the classes")
        return {path: rows.get(path, TableRow(None))._replace(label=folder) for path, folder in folders.items()}
    raise DataError(
        "labels-open",
        f"{shown_path(tree.top)} holds class folders, and {name} labels the images differently: which is meant?",
        fix=ready((tree.top, "--table", f"{tree.top}/{tables[0]}"), (tree.top, "--table", "none")),
    )


def _names_of_classes(raw: RawTable, folders: Sequence[str]) -> dict[str, str] | None:
    """Return folder -> class where one column of a table holds all folders and another one a name for each.

    An empty dict where the table is such a list and the folders are words already; None where it is none.
    """
    for place in range(len(raw.header)):
        called = {typed_alike(cells[place]): cells for _, cells in raw.rows if len(cells) == len(raw.header)}
        if not folders or len(called) < len(raw.rows) or not all(typed_alike(folder) in called for folder in folders):
            continue
        if not all(any(c.isdigit() for c in folder) for folder in folders):
            return {}
        for other in range(len(raw.header)):
            names = {folder: called[typed_alike(folder)][other].strip() for folder in folders}
            words = all(any(c.isalpha() for c in name) for name in names.values())
            if other != place and words and len({typed_alike(name) for name in names.values()}) == len(names):
                return names
        return {}
    return None
