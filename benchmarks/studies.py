"""The main job on real images: the studies behind the README's table, each one `sparring compare`, and their rows.

    python benchmarks/studies.py DATA --out DIR [--only digits mnist tiles cifar10] [--tables]

DATA is a folder with mnist.npz, magnetic-tile.zip and cifar10/ (train-*.parquet, test-*.parquet). A study that is in
DIR already is only summarised again, one that was stopped goes on. Writes benchmarks/results/studies.md.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from sparring.study import Summary

RESULTS = Path(__file__).parent / "results" / "studies.md"
STUDIES = {
    "digits": "digits --labels 5,20 --repeats 6",
    "mnist": "{data}/mnist.npz --labels 10 --repeats 6 --methods "
    "majority,logistic,svm,spreading,cnn,consistency,semi-gan --jobs 2",
    "tiles": "{data}/magnetic-tile.zip/images --labels 10 --repeats 6 --minutes 8 --jobs 2",
    "cifar10": "{data}/cifar10 --labels 40,400 --repeats 6 --minutes 10 --jobs 2 --methods "
    "majority,logistic,svm,spreading,cnn,consistency,semi-gan",
}


def table(name: str, summary: Summary) -> str:
    """Return the rows of a study as Markdown; errors in %, one number for each label draw."""
    machine = summary.machine
    lines = [
        f"## {name}",
        "",
        f"{summary.created[:10]}, `{command(name, 'DATA', 'OUT')}`. {summary.test.images:,} test images, "
        f"{summary.repeats} label draws. {machine.cpu}, {machine.cores} cores, networks in "
        f"{machine.precision}, {machine.threads} thread a fit.",
        "",
        f"> {summary.verdict}",
        "",
        "| method | labels | error, % (95 % interval) | each draw | balanced accuracy, % | ECE, points | a fit, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in summary.scores:
        mean, low, high = (100 - 100 * v for v in s.accuracy)
        each = " ".join(f"{100 - 100 * v:.2f}" for v in s.accuracy.each)
        lines.append(
            f"| `{s.method}` | {summary.labels(s.budget):,} | **{mean:.2f}** ({high:.2f} to {low:.2f}) | {each} | "
            f"{100 * s.balanced_accuracy.mean:.1f} | {100 * s.ece.mean:.1f} | {s.seconds.median:.1f} |"
        )
    for row in summary.ablations:
        mean, low, high = (100 * v for v in row.difference)
        lines.append(
            f"\nWith {summary.labels(row.budget):,} labels, {row.what} (`{row.a}` - `{row.b}`): {mean:+.2f} points "
            f"({low:+.2f} to {high:+.2f}), {row.verdict}."
        )
    return "\n".join([*lines, *(f"\nMind: {note}." for note in summary.recommendation.warnings)])


def command(name: str, data: str, out: str) -> str:
    return f"sparring compare {STUDIES[name].format(data=data)} --out {out}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--tables", action="store_true", help="only write the tables of what is in DIR")
    options = parser.parse_args()
    for name in [] if options.tables else options.only:
        words = shlex.split(command(name, str(options.data), str(options.out / name)))
        subprocess.run([sys.executable, "-m", *words], check=True)
    found = [n for n in STUDIES if (options.out / n / "summary.json").exists()]
    tables = [table(n, Summary.read(options.out / n)) for n in found]
    head = "# Studies on real images\n\nWritten by `python benchmarks/studies.py`; times are of a shared machine.\n\n"
    RESULTS.write_text(head + "\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
