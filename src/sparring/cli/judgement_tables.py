"""The tables that `sparring judge` shows in a terminal."""

from ..errors import printable
from ..judging.catalogue import METRICS
from ..judging.results import JudgementResult, JudgeProtocol, OverTime, by_metric
from ..words import percent
from .screen import Screen


def show_judgement(screen: Screen, result: JudgementResult) -> None:
    """Show what it comes to, the scores, and what they depend on."""
    for sentence in result.sentences:
        screen.line(f"{printable(sentence)}.", style="bold")
    if result.sentences:
        screen.line()
    _show_scores(screen, result)
    for note in result.notes:
        screen.note(f"{printable(note)}.")
    _show_verdicts(screen, result)
    _show_classes(screen, result)
    screen.note()
    for fake in result.fakes:
        screen.note(printable(f"{fake.name}: {fake.how}."))
    screen.note(printable(_how_measured(result.stamp, result.protocol)))


def _how_measured(stamp: str, protocol: JudgeProtocol) -> str:
    """Return what a number depends on, in one line."""
    extractor, real = protocol.extractor, protocol.real
    accuracy = f", right on {percent(extractor.accuracy)} of {extractor.accuracy_of}" if extractor.accuracy else ""
    return (
        f"Stamp {stamp}: {protocol.fakes:,} fakes against {real.compared:,} real images of {real.name} "
        f"({real.how}); features {extractor.name} {extractor.hash}{accuracy}, {extractor.resize}; "
        f"{protocol.pixels}; seed {protocol.seed}; sparring {protocol.sparring}. "
        "What each score means: sparring metrics"
    )


def _show_scores(screen: Screen, result: JudgementResult) -> None:
    """Show a row for each score, a column for each generator."""
    generators, reference = result.generators, by_metric(result.real)
    names = [printable(one.name) + f" x {one.trainings}" * (one.trainings > 1) for one in generators]
    several = len(names) > 1
    rows = []
    for scores in zip(*(one.scores for one in generators), strict=True):
        if all(score.value is None for score in scores):
            continue
        metric = METRICS[scores[0].metric]
        cells = [metric.shown_score(score) for score in scores]
        if not several:
            cells = [metric.shown(scores[0].value), metric.shown_interval(scores[0])]
        rows.append((metric.title, *cells, metric.shown_score(reference.get(scores[0].metric)), metric.better))
    heads = ("", *(names if several else (names[0], "95 % interval")), "real images", "better is")
    screen.table(heads, rows, right=names)
    over = " (over trainings, where there are several)" if len(generators) < len(result.fakes) else ""
    screen.note(f"After +-: to the farther end of the 95 % interval{over}.")


def _show_verdicts(screen: Screen, result: JudgementResult) -> None:
    """Show every two generators, score by score."""
    if not result.verdicts:
        return
    rows = []
    for v in result.verdicts:
        metric, p = METRICS[v.metric], f"{v.p_holm:.2g}" if v.p_holm >= 0.001 else "< 0.001"
        difference = metric.shown_difference(v.mean, v.half)
        rows.append((printable(f"{v.a} - {v.b}"), metric.title, difference, p, v.verdict))
    screen.line()
    screen.table(("", "", "difference", "p, adjusted", "the first is"), rows, right=("difference", "p, adjusted"))


def _show_classes(screen: Screen, result: JudgementResult) -> None:
    """Show a row for each class of each set of fakes."""
    for fake in result.fakes:
        each = {name: by_metric(scores) for name, scores in fake.classes.items()}
        metrics = list(dict.fromkeys(metric for scores in each.values() for metric in scores))
        heads = list(map(_narrow_head, metrics))
        rows = [
            (printable(name), *(METRICS[m].shown_score(scores.get(m)) for m in metrics))
            for name, scores in each.items()
        ]
        if rows:
            screen.line()
            screen.table(("class", *heads), rows, title=printable(f"{fake.name}, class by class"), right=heads)
        if fake.classes_left_out:
            screen.note(printable(f"{fake.name}, {fake.classes_left_out}."))


def _narrow_head(name: str) -> str:
    return f"{name} x 1000" if METRICS[name].times == 1000 else name


def show_over_time(screen: Screen, found: OverTime) -> None:
    """Show a row for each checkpoint, and the scores of the best one."""
    names = [score.metric for score in found.checkpoints[0].scores if score.value is not None]
    heads, rows = ("images", *map(_narrow_head, names)), []
    for at in found.checkpoints:
        each = by_metric(at.scores)
        best = " best" if at.images == found.best.images else ""
        rows.append((f"{at.images:,}{best}", *(METRICS[m].shown_score(each[m]) for m in names)))
    screen.line("By the half of the real images that chooses:")
    screen.table(heads, rows, right=heads)
    screen.line(f"\nThe best, {found.best.images:,} images, other fakes of it by the other half:")
    scored = [(METRICS[score.metric], score) for score in found.best.scores if score.value is not None]
    lines = [(metric.title, metric.shown(score.value), metric.shown_interval(score)) for metric, score in scored]
    screen.table(("", "", "95 % interval"), lines)
    for note in found.notes:
        screen.note(f"{printable(note)}.")
    screen.note("\n" + printable(_how_measured(found.stamp, found.protocol)))
