"""The audit of a data set: its labels, its pictures, its shortcuts, as records, a table and small pictures."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ... import files
from ...classifiers.described import described
from ...data import ImageSet, load
from ...data.checks import contradictions
from ...data.properties import Greys, Property, greys, image_properties
from ...data.shortcuts import Shortcut, class_shortcuts, part_shortcuts, shortcut_sentences
from ...devices import choose_device
from ...features.pretrained import BUILT_IN
from ...images import SizeLike, encode_png
from ...records import OnProgress, Progress, no_progress, to_json
from ...stats import fisher_p, holm
from ...words import plural
from .findings import FILE, FORMAT, KINDS, PICTURES, TABLE, Audit, AuditFinding, LabelsChecked, WeakGroup
from .label_errors import CheckedLabels, check_labels
from .pictures import faults, unusual
from .small import small

SHOWN = {"label": 48}  # pictures of a kind on the page
SHOWN_OTHERS = 18
QUARTERS = 0.25
WEAKER = 0.05  # by which a group must be worse to be named
COLUMNS = ("file", "part", "class", "label_rank", "label_quality", "suggested", "confidence", "unusual", "found")


@dataclass(frozen=True, eq=False)
class MeasuredImages:
    """What was measured of every image of a data set."""

    images: ImageSet
    features: str
    checked: CheckedLabels
    unusual: np.ndarray
    grey: Greys
    properties: tuple[Property, ...]


def audit(
    data: object,
    *,
    out: str | Path | None = None,
    size: SizeLike = None,
    unlabelled: str | Path | None = None,
    table: str | Path | None = None,
    label: str | None = None,
    group: object = None,
    follow_links: bool = False,
    pretrained: str = BUILT_IN,
    device: str = "auto",
    seed: int = 0,
    progress: OnProgress = no_progress,
) -> Audit:
    """Return what is wrong, or may be, with a data set.

    data: an ImageSet, or what `load` takes, which is then read with the other options. out: a new folder for
    audit.json, audit.csv (a line for each image) and small pictures, None writes nothing; `sparring.audit` writes the
    page audit.html of it, too. pretrained: whose features images are compared by, "none" for edges and colours made by
    hand. Raises UsageError, MachineError and what `load` raises.
    """
    start = time.perf_counter()
    folder = None if out is None else files.new_folder(out, ours=(FILE,), data=data)
    if not isinstance(data, ImageSet):
        reading = {"size": size, "unlabelled": unlabelled, "table": table, "label": label, "follow_links": follow_links}
        data = load(data, **reading, group=group, progress=progress)
    progress(Progress("checks", 0, 3, "features of the images"))
    name, x = described(data.images, pretrained, choose_device(device), progress)
    progress(Progress("checks", 1, 3, "checking labels"))
    checked = check_labels(x, data.labels, seed=seed, groups=data.clusters)
    progress(Progress("checks", 2, 3, "looking for odd images, copies and shortcuts"))
    grey = greys(data.images)
    seen = MeasuredImages(data, name, checked, unusual(x), grey, tuple(image_properties(data, grey)))
    found = audited(seen, seed, round(time.perf_counter() - start, 1))
    if folder is not None:
        write_audit_files(folder, found, seen)
    return found


def audited(seen: MeasuredImages, seed: int, seconds: float) -> Audit:
    """Return the audit of what was measured."""
    images, checked = seen.images, seen.checked
    found = (
        *label_findings(seen),
        *duplicate_findings(images),
        *faults(seen.grey, images.sizes, seen.unusual, images.origins),
    )
    labels = {origin: i for i, origin in enumerate(images.origins)}
    named = tuple(f if f.label is not None else replace(f, label=class_of(images, labels[f.origin])) for f in found)
    return Audit(
        format=FORMAT,
        name=images.name,
        source=images.notes.source,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        images=len(images),
        labelled=int(images.labelled.sum()),
        classes=images.classes,
        check=LabelsChecked(
            features=seen.features,
            labels=int(images.labelled.sum()),
            checked=checked.checked,
            agreed=round(checked.agreed, 4),
            few=tuple(images.classes[k] for k in checked.left_out),
        ),
        found=tuple(sorted(named, key=lambda f: list(KINDS).index(f.kind))),
        shortcuts=tuple(all_shortcuts(seen, seed)),
        weak=tuple(weak_groups(seen)),
        notes=images.notes.warnings,
        seconds=seconds,
    )


def class_of(images: ImageSet, i: int) -> str | None:
    return images.classes[images.labels[i]] if images.labels[i] >= 0 else None


# Findings.


def label_findings(seen: MeasuredImages) -> Iterator[AuditFinding]:
    """Yield the labels that are probably wrong, the most suspicious first."""
    images, errors = seen.images, seen.checked.errors
    quality = seen.checked.quality[errors.index]
    for at in np.argsort(quality, kind="stable").tolist():
        i, k, confidence = int(errors.index[at]), int(errors.suggested[at]), errors.confidence[at]
        label, other = images.classes[images.labels[i]], images.classes[k]
        says = f"labelled {label}, perhaps {other} ({100 * confidence:.0f} % sure)"
        yield AuditFinding("label", images.origins[i], says, round(float(quality[at]), 4), label=label, suggested=other)


def duplicate_findings(images: ImageSet) -> Iterator[AuditFinding]:
    """Yield equal images with different labels, test images with a twin elsewhere, and images that come again."""
    clashes = {i for group in contradictions(images) for i in group}
    for group in contradictions(images):
        for i in group:
            first = group[0] if i != group[0] else group[1]
            says = f"labelled {class_of(images, i)}, and the same image {class_of(images, first)}"
            yield AuditFinding("two labels", images.origins[i], says, 0.0, like=images.origins[first])
    for group in images.duplicates.near:
        parts = images.parts[list(group)]
        for i in group[1:] if len(set(parts.tolist())) == 1 else group:
            others = [j for j in group if j != i and (images.parts[j] != images.parts[i] or len(set(parts)) == 1)]
            kind = "across" if len(set(parts.tolist())) > 1 else "copy"
            if i in clashes or not others or (kind == "across" and images.parts[i] not in ("test", "val")):
                continue
            same = images.hashes[i] == images.hashes[others[0]]
            says = f"{'the same as' if same else 'nearly the same as'} {images.origins[others[0]]}"
            yield AuditFinding(kind, images.origins[i], says, 0.0 if same else 1.0, like=images.origins[others[0]])


def all_shortcuts(seen: MeasuredImages, seed: int) -> Iterator[Shortcut]:
    """Yield the properties that surely tell a class, or the test or validation part, from the others."""
    images, clusters = seen.images, seen.images.clusters
    found = class_shortcuts(seen.properties, images.labels, images.classes, clusters, seed=seed)
    yield from (told for told in found if told.surely)
    for part in ("test", "val"):
        yield from part_shortcuts(seen.properties, images.parts == part, part, clusters)


def weak_groups(seen: MeasuredImages) -> Iterator[WeakGroup]:
    """Yield classes, and quarters of the images by a property, on which the check of labels agrees less often.

    By Fisher's exact test (one-sided) at 5 % after Holm, where the difference is WEAKER or more. Where some images are
    near duplicates or of one group, by a t-test between these.
    """
    images, said = seen.images, seen.checked.said
    known = said >= 0
    if not known.any():
        return
    right = said[known] == images.labels[known]
    groups: list[tuple[str, np.ndarray]] = [
        (f"class {name}", images.labels[known] == k) for k, name in enumerate(images.classes)
    ]
    for each in seen.properties:
        if not each.names:
            values = each.values[known]
            low, high = np.quantile(values, (QUARTERS, 1 - QUARTERS))
            groups += [(f"{each.name}: the lowest quarter", values <= low),
                       (f"{each.name}: the highest quarter", values >= high)]  # fmt: skip
    groups = [(name, here) for name, here in groups if 0 < here.sum() < len(here)]
    units = images.clusters[known]
    alone = len(np.unique(units)) == len(units)
    ps = holm([fisher_p(right[here], right[~here]) if alone else less_p(right, here, units) for _, here in groups])
    for (name, here), p in sorted(zip(groups, ps, strict=True), key=lambda each: right[each[0][1]].mean()):
        agreed, others = float(right[here].mean()), float(right[~here].mean())
        if p <= 0.05 and others - agreed >= WEAKER:
            yield WeakGroup(name, int(here.sum()), round(agreed, 4), round(others, 4), p)


def less_p(right: np.ndarray, here: np.ndarray, units: np.ndarray) -> float:
    """Return p, one-sided, of "not less often right `here` than elsewhere", bool [N] each.

    By t, with the variance between units [N], whose images are not independent: the sum of squares of each unit's part
    in the difference of both shares, times U / (U - 1). Each share has one image more, half right, as a share of 0 or 1
    would have no variance. Of fewer than two units on a side nothing is known: p is 1.
    """
    from scipy import special

    shares = {side: (right[here == side].sum() + 0.5) / ((here == side).sum() + 1) for side in (True, False)}
    counts, sign = np.where(here, here.sum(), (~here).sum()), np.where(here, 1, -1)
    parts = sign * (right - np.where(here, shares[True], shares[False])) / counts
    place = np.unique(units, return_inverse=True)[1]
    number = int(place.max()) + 1
    error = np.sqrt(number / max(1, number - 1) * (np.bincount(place, parts) ** 2).sum())
    # The side with fewer units decides how well the variance is known.
    inside = min(len(np.unique(units[here])), len(np.unique(units[~here])))
    if inside < 2 or not error:
        return 1.0
    return float(special.stdtr(inside - 1, (shares[True] - shares[False]) / error))


# Files.


def write_audit_files(folder: Path, found: Audit, seen: MeasuredImages) -> None:
    """Write audit.json, audit.csv and the pictures of the page."""
    files.make_folder(folder)
    shown = {f.origin for kind in KINDS for f in found.of(kind)[: SHOWN.get(kind, SHOWN_OTHERS)]}
    place = {origin: i for i, origin in enumerate(seen.images.origins)}
    wanted = {origin: f"{number}.png" for number, origin in enumerate(sorted(shown))}
    with files.atomic_folder(folder / PICTURES) as temporary:
        for origin, name in wanted.items():
            (temporary / name).write_bytes(encode_png(small(seen.images.images[place[origin]])))
    pictured = (
        replace(f, picture=f"{PICTURES}/{wanted[f.origin]}" if f.origin in wanted else None) for f in found.found
    )
    files.write_csv(folder / TABLE, COLUMNS + tuple(p.name for p in seen.properties), audit_rows(found, seen))
    files.write_json(folder / FILE, to_json(replace(found, found=tuple(pictured)), kinds=False))


def audit_rows(found: Audit, seen: MeasuredImages) -> Iterator[Sequence[object]]:
    """Yield a row for each image, the most suspicious label first, unlabelled images last."""
    images, checked = seen.images, seen.checked
    kinds: dict[str, list[str]] = {}
    for finding in found.found:
        kinds.setdefault(finding.origin, []).append(finding.kind)
    suggested = dict(zip(checked.errors.index.tolist(), checked.errors.suggested.tolist(), strict=True))
    confidence = dict(zip(checked.errors.index.tolist(), checked.errors.confidence.tolist(), strict=True))
    order = np.argsort(np.where(np.isnan(checked.quality), 2, checked.quality), kind="stable")
    for rank, i in enumerate(order.tolist(), 1):
        seen_label = not np.isnan(checked.quality[i])
        other = images.classes[suggested[i]] if i in suggested else ""
        cells = [each.names[int(each.values[i])] if each.names else round(float(each.values[i]), 4)
                 for each in seen.properties]  # fmt: skip
        yield (
            images.origins[i], str(images.parts[i]), class_of(images, i) or "", rank if seen_label else "",
            round(float(checked.quality[i]), 4) if seen_label else "", other,
            round(confidence[i], 4) if i in confidence else "", round(float(seen.unusual[i]), 3),
            "; ".join(dict.fromkeys(kinds.get(images.origins[i], ()))), *cells,
        )  # fmt: skip


def summary_lines(found: Audit) -> Iterator[str]:
    """Yield what an audit found, a line for each kind."""
    for kind, words in KINDS.items():
        if count := len(found.of(kind)):
            yield plural(count, *words)
    yield from shortcut_sentences(found.shortcuts, len(found.classes))
    if not found.found and not found.shortcuts:
        yield f"nothing wrong was found in {plural(found.images, 'image')}"
