"""How many planted wrong labels are found, how many of those found are planted, and whether cleanlab finds the same.

    python benchmarks/label_errors.py digits path/to/mnist.npz path/to/cifar10 [--images 2000] [--encoder]

Of each set some labels are replaced by another class at random. `found` are all label errors of confident learning,
`kept` those that a study lists: the classifier must be the surer, the less it agrees with the labels. `--encoder` takes
the features of the built-in pretrained network instead of handmade ones. The column cleanlab says whether its
find_label_issues, with the same probabilities, gives the same images in the same order as `found`; it stays empty where
cleanlab is not installed. With `--save FILE.npz` labels, probabilities and what was found are written for a cleanlab in
another environment:

    python benchmarks/label_errors.py --compare FILE.npz
"""

import argparse
import time

import numpy as np

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)


def with_wrong(labels: np.ndarray, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which a share is wrong, and which these are."""
    random, classes = np.random.default_rng(seed), int(labels.max()) + 1
    planted = random.choice(len(labels), round(share * len(labels)), replace=False)
    changed = labels.copy()
    changed[planted] = (labels[planted] + random.integers(1, classes, len(planted))) % classes
    return changed, planted


def by_cleanlab(labels: np.ndarray, proba: np.ndarray) -> np.ndarray | None:
    """Return what the authors' library finds, None where it is not installed."""
    try:
        from cleanlab.filter import find_label_issues  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return find_label_issues(
        labels, proba, filter_by="confident_learning", return_indices_ranked_by="normalized_margin", n_jobs=1
    )


def compared(path: str) -> None:
    """Print for each saved case whether cleanlab finds the same."""
    saved = np.load(path)
    for name in sorted({key.rpartition("/")[0] for key in saved.files}):
        found, theirs = saved[f"{name}/found"], by_cleanlab(saved[f"{name}/labels"], saved[f"{name}/proba"])
        if theirs is None:
            raise SystemExit("cleanlab is not installed here")
        print(f"{name}: {len(found)} found, cleanlab {len(theirs)}, same order: {np.array_equal(found, theirs)}")


def measured(source: str, count: int, encoder: bool, save: dict[str, np.ndarray]) -> None:
    """Print a row of the table for each share of planted labels."""
    from sparring.classifiers.described import described
    from sparring.data import load
    from sparring.study.audit.label_errors import check_labels, find_label_errors, held_out_probabilities

    images = load(source)
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(images.labels >= 0))[:count]
    pixels, truth = images.images[chosen], images.labels[chosen]
    name, x = described(pixels, "efficientnet-lite0" if encoder else "none", "cpu")
    for share in SHARES:
        labels, planted = with_wrong(truth, share)
        start = time.process_time()
        checked = check_labels(x, labels)
        seconds = time.process_time() - start
        proba = held_out_probabilities(x, labels)
        every = find_label_errors(labels, proba).index
        theirs = by_cleanlab(labels, proba)
        named = {"labels": labels, "proba": proba, "found": every}
        save |= {f"{images.name}/{share}/{key}": value for key, value in named.items()}
        same = "" if theirs is None else "same" if np.array_equal(theirs, every) else "other"
        cells = [images.name, len(truth), name, f"{checked.agreed:.3f}", len(planted)]
        for found in (every, checked.errors.index):
            hit = np.isin(found, planted).sum()
            cells += [len(found), f"{hit / max(1, len(found)):.2f}", f"{hit / max(1, len(planted)):.2f}"]
        print(f"| {' | '.join(map(str, [*cells, f'{seconds:.1f}', same]))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--encoder", action="store_true")
    parser.add_argument("--save")
    parser.add_argument("--compare")
    given = parser.parse_args()
    if given.compare:
        compared(given.compare)
        return
    saved: dict[str, np.ndarray] = {}
    columns = "set images features agreed planted found precision recall kept precision recall seconds cleanlab".split()
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for source in given.sources:
        measured(source, given.images, given.encoder, saved)
    if given.save:
        np.savez(given.save, **saved)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
