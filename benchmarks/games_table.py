"""The table of benchmarks/games.py: medians and ranges over seeds, from its lines."""

import json
import statistics
from pathlib import Path

LINES = Path(__file__).parent / "results" / "games.jsonl"
HEAD = """# Games on real images

Written by `python benchmarks/games.py --table` from games.jsonl. Median (lowest to highest) over seeds. Kernel distance
x 1000 and Frechet distance are between features of our own extractor, a classifier trained on the real training images,
whose mean square over real images is 1: compare them with each other and with the row of real training images, not with
published FID. Fidelity: share of conditional samples that the extractor names as the asked-for class. Seconds are of
training alone, without evaluation. Times are of a shared machine."""

SAMPLES = {
    "seeds": None,
    "images/s": ("images_per_second", 1, 0),
    "images, k": ("images", 0.001, 0),
    "kernel distance x 1000": ("kernel_x1000", 1, 2),
    "+-": ("kernel_x1000_error", 1, 2),
    "of `mlp`": ("ratio", 1, 3),
    "Frechet": ("frechet", 1, 2),
    "precision": ("precision", 1, 2),
    "recall": ("recall", 1, 2),
    "density": ("density", 1, 2),
    "coverage": ("coverage", 1, 2),
    "diversity": ("diversity", 1, 2),
    "least diverse class": ("class_diversity", 1, 2),
    "fidelity, %": ("fidelity", 100, 1),
    "train on generated, %": ("train_on_generated", 100, 1),
    "skipped moves": ("skipped", 1, 0),
}
CODES = {
    "seeds": None,
    "real images, majority, %": ("purity_real", 100, 1),
    "real images, one to one, %": ("purity_real_one_to_one", 100, 1),
    "fakes, majority, %": ("purity_fake", 100, 1),
    "fakes, one to one, %": ("purity_fake_one_to_one", 100, 1),
}
NAMES = {
    "seeds": None,
    "images, k": ("images", 0.001, 0),
    "test images right, %": ("accuracy", 100, 2),
}
PAIRS = {
    f"{title}{' of the baseline' if start else ''}": (f"{start}{name}", 1, places)
    for name, title, places in (("psnr", "PSNR, dB", 2), ("ssim", "SSIM", 3), ("kernel_x1000", "kernel x 1000", 2))
    for start in ("", "baseline_")
}
PAIRS = {"seeds": None, "images/s": ("images_per_second", 1, 0), "images, k": ("images", 0.001, 0), **PAIRS}


def table(lines: list[dict]) -> str:
    """Markdown of all lines; of two for the same run the later one."""
    last = {(*setting(line), line["recipe"], line.get("labels"), line["seed"]): line for line in lines}
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for line in last.values():
        name = f"{line['recipe']}, {line['labels']} labels a class" if "labels" in line else line["recipe"]
        if line["kind"] != "floor":
            groups.setdefault(setting(line), {}).setdefault(name, []).append(line)
    floors = {line["data"]: line for line in lines if line["kind"] == "floor"}
    return "\n\n".join([HEAD, *(block for key in sorted(groups) for block in section(key, groups[key], floors))]) + "\n"


def setting(line: dict) -> tuple:
    return line["data"], line.get("device", ""), line.get("threads", 0), line.get("budget", 0)


def section(key: tuple, group: dict[str, list[dict]], floors: dict[str, dict]):
    """The blocks of one data set, machine and budget."""
    data, device, threads, budget = key
    lines = [line for of in group.values() for line in of]
    hashes = sorted({line["extractor"] for line in lines})
    took = sorted(line["seconds"] for line in lines)
    yield (
        f"## {data}, {budget:g} s\n\n{max(line['date'] for line in lines)}, {device}, {threads} thread"
        f"{'s' if threads > 1 else ''}, {took[0]:.0f} to {took[-1]:.0f} s of training; extractor {', '.join(hashes)}."
        + (" MORE THAN ONE EXTRACTOR: not comparable." if len(hashes) > 1 else "")
    )
    base = [line["kernel_x1000"] for line in group.get("mlp", []) if line.get("kernel_x1000")]
    for line in lines:
        if base and line["kind"] == "generation" and line.get("kernel_x1000") is not None:
            line["ratio"] = line["kernel_x1000"] / statistics.median(base)
    made = {n: of for n, of in group.items() if of[0]["kind"] == "generation"}
    if made and data in floors:
        made["real training images"] = [floors[data]]
    yield from block(SAMPLES, made)
    yield from block(CODES, {n: of for n, of in group.items() if "purity_real" in of[0]})
    yield from block(NAMES, {n: of for n, of in group.items() if "accuracy" in of[0]})
    yield from block(PAIRS, translators(group))


def translators(group: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """A row for each direction of those that go both ways."""
    found: dict[str, list[dict]] = {}
    for name, of in group.items():
        if "psnr" in of[0]:
            found[name] = of
        for way in sorted({key.split(": ")[0] for key in of[0] if key.endswith(": psnr")}):
            of_way = [{k.removeprefix(f"{way}: "): v for k, v in line.items()} for line in of]
            found[f"{name}, {way}"] = of_way
    return found


def block(columns: dict, rows: dict[str, list[dict]]):
    """One Markdown table, without the columns that no row has."""
    used = {t: c for t, c in columns.items() if c is None or any(c[0] in line for of in rows.values() for line in of)}
    if rows:
        nodes = [[f"`{name}`", *(node(column, of) for column in used.values())] for name, of in rows.items()]
        heads = ["recipe", *used]
        yield "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *nodes))


def node(column: tuple | None, lines: list[dict]) -> str:
    if column is None:
        return str(len(lines))
    name, times, places = column
    values = [times * line[name] for line in lines if line.get(name) is not None]
    if not values:
        return ""
    low, middle, high = (f"{value:,.{places}f}" for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def write_table(lines: list[dict], path: Path) -> str:
    text = table([json.loads(json.dumps(line)) for line in lines])
    path.write_text(text, encoding="utf-8")
    return text
