"""Groups: the patient, slide, animal, video or burst that an image is of. A split keeps all images of one on one side.

A table, a Parquet file or an .npz says them in a column (`group="patient_id"`). Of class/patient/image.png the folders
below a class are the groups where every class has at least two of them that hold images directly, and not every class
has the same ones: then the first folder may not be the class, which is asked. "folders" takes them in any case, "none"
never does.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..errors import DataError, UsageError, suggestion
from .labels import BLANK_LABELS, on_cpu, refuse_long
from .listing import ListedImage
from .names import shown_path

FOLDERS, NONE = "folders", "none"  # what `group` may be beside the name of a column
FEWEST_FOLDERS = 2  # of a class, that hold images directly, where they are taken for groups without being asked
IDENTITIES = frozenset(
    """
    patient patientid pid mrn subject subjectid subj participant person proband case caseid specimen biopsy animal
    animalid individual mouse slide slideid wsi video videoid clip sequence seq burst series seriesid study studyid
    scene trap plant tree plate well donor lesion lesionid exam examid visit session group groupid
    """.split()
)  # words of a column's name that make it look like one of groups


def components(*keys: np.ndarray) -> np.ndarray:
    """Return int64 [N]: equal where images are connected by equal keys, each [N], whole numbers or names.

    A name "" stands for no key. An image on its own is its own component; a component is called by its first image.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count, pairs = len(keys[0]), [np.empty((2, 0), np.int64)]
    for key in keys:
        there = np.flatnonzero(key != "") if key.dtype.kind == "U" else np.arange(count)
        first, place = np.unique(key[there], return_index=True, return_inverse=True)[1:]
        pairs.append(np.stack([there, there[first][place]]))
    a, b = np.concatenate(pairs, axis=1)
    component = connected_components(coo_array((np.ones(len(a), bool), (a, b)), (count, count)), directed=False)[1]
    first, place = np.unique(component, return_index=True, return_inverse=True)[1:]
    return first[place].astype(np.int64)


def first_images(order: np.ndarray, most: int, groups: np.ndarray | None) -> np.ndarray:
    """Return the first `most` of the images in a random order, a permutation [N].

    Of images with groups str [N] whole groups, in the order of one image of each, as long as they fit: somewhat fewer.
    """
    if groups is None:
        return order[:most]
    group, place = components(groups), np.argsort(order)
    first, sizes = np.unique(group, return_counts=True)
    taken, room = [], most
    for number in np.argsort(place[first]).tolist():
        if sizes[number] <= room:
            taken.append(first[number])
            room -= int(sizes[number])
    return np.flatnonzero(np.isin(group, taken))


def group_names(given: object, count: int, key: str = "group") -> np.ndarray:
    """Return str [N]: the group of each of `count` images, "" for None, NaN, "" and -1. Raises DataError."""
    items = np.asarray(on_cpu(given), object)
    if items.shape != (count,):
        fix = "give one group per image, and leave it blank where there is none"
        raise DataError("group-count", f"{key} has shape {items.shape} for {count} images", fix=fix)
    names = [group_name(item) for item in items.tolist()]
    refuse_long(names, f"group in {key}")
    return np.array(names, np.str_)


def group_name(given: object) -> str:
    """Return one group as text; "" where it is blank. 7 and 7.0 are the same."""
    if given is None or given != given:
        return ""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    text = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
    return "" if text.strip() in BLANK_LABELS else text.strip()


# --- folders ---------------------------------------------------------------------------------------------------------


def group_folder(path: str) -> str:
    """Return the folders between a class and an image, "P01" of "ill/P01/3.png"; "" where it lies in the class."""
    return "/".join(path.split("/")[1:-1])


def are_groups(paths: Iterable[str]) -> bool:
    """Return whether of class/group/image paths the folders below classes are groups (see the top of this file)."""
    below: dict[str, set[str]] = {}
    for path in paths:
        below.setdefault(path.partition("/")[0], set()).update({group_folder(path)} - {""})
    found = list(below.values())
    if len(found) < 2 or min(map(len, found)) < FEWEST_FOLDERS:
        return False
    return any(folders != found[0] for folders in found)


def by_folder(
    items: list[ListedImage], above: Sequence[str], group: str | None, source: str, warnings: list[str]
) -> list[ListedImage]:
    """Return the images of classes with the folder below the class as their group, where that is asked or the rule.

    `above`: what stands before the classes, such as "train/". What was decided without being asked is said in
    `warnings`. Raises UsageError where a column is asked for: there is no table.
    """
    if group not in (None, NONE, FOLDERS):
        what = f"{source} has no table of labels, so it has no column {group!r}"
        fix = f"write --group {FOLDERS} for the folders below the classes, or --group {NONE}"
        raise UsageError("group-column", what, fix=fix)
    before = [next((part for part in above if item.origin.startswith(part)), "") for item in items]
    named = [item.origin.removeprefix(part) for item, part in zip(items, before, strict=True)]
    labelled = [(item.part, path) for item, path in zip(items, named, strict=True) if item.label is not None]
    by_part = ([path for part, path in labelled if part == one] for one in {part for part, _ in labelled})
    if group == NONE or (group is None and not any(map(are_groups, by_part))):
        return items
    found = [
        item if item.label is None else item._replace(group=group_folder(path))
        for item, path in zip(items, named, strict=True)
    ]
    if group is None:
        groups = sorted({item.group for item in found} - {""})
        shown = ", ".join(map(shown_path, groups[:3])) + (" ..." if len(groups) > 3 else "")
        warnings.append(
            f"{len(groups)} folders below the classes ({shown}) are taken as groups: a split keeps each on one side "
            f"(--group {NONE}, if their images have no more to do with each other than others)"
        )
    return found


# --- columns ---------------------------------------------------------------------------------------------------------


def column_of(group: str, columns: Sequence[str], table: str) -> str:
    """Return the column of this name, in any case of letters. Raises UsageError where there is none."""
    lowered = {column.strip().lower(): column for column in reversed(columns)}
    if (found := lowered.get(group.strip().lower())) is not None:
        return found
    shown = ", ".join(columns[:12]) or "none"
    raise UsageError(
        "group-column",
        f"{table} has no column {group!r}{suggestion(group, list(columns))}; its columns are {shown}",
        fix=f"name one of them, or --group {NONE}",
    )


def named_like_groups(column: str) -> bool:
    """Return whether a column's name is one of patients, slides, animals, videos and the like."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower())
    return bool({*words, "".join(words)} & IDENTITIES)


def said_of_columns(columns: Mapping[str, Iterable[object]], table: str, source: str) -> list[str]:
    """Return a warning where one of these columns, which nobody asked for, has the name of groups, and values repeat.

    Of several the one with the fewest values, which holds the others: a patient has several slides.
    """
    found = []
    for column, values in columns.items():
        there = [name for value in values if (name := group_name(value))]
        if named_like_groups(column) and 1 < len(set(there)) < len(there):
            found.append((len(set(there)), column, len(there)))
    if not found:
        return []
    groups, column, images = min(found)
    return [
        f"column {column} of {table} has {groups} values for {images} images: if it says which images show the same "
        "patient, slide, animal or moment, a split must not part them, and results without it are too good. Then use "
        f"it: sparring compare {shlex.quote(source)} --group {shlex.quote(column)} (or say --group {NONE})"
    ]
