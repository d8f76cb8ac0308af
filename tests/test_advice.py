"""Advice from hand-made summaries: what is chosen, and every sentence."""

from dataclasses import replace
from itertools import combinations

import pytest
import summaries

from sparring.classifiers import METHODS
from sparring.stats import ENOUGH, Difference, Interval, RepeatedInterval, smallest_p
from sparring.study.ablations import ablations
from sparring.study.advice import advise, some
from sparring.study.headline import MOST_WORDS, headline, in_hundred, time_words
from sparring.study.precision import images_needed
from sparring.study.records import (
    ArmScore,
    ClassRecall,
    Comparison,
    FailedFit,
    FitSeconds,
    GateRow,
    HeldOutPart,
    LabelBudget,
    MethodEntry,
    MoreLabels,
    NextStep,
    NotChosen,
    Recommendation,
    ShortArm,
    TieGroups,
    Unclean,
    UnmeasuredArm,
)
from sparring.study.summary import Summary

FAMILY = {"majority": "floor", "logistic": "traditional", "svm": "traditional", "cnn": "network",
          "consistency": "network", "semi-gan": "gan", "gan-augment": "gan", "probe": "pretrained",
          "finetune": "network", "ensemble": "ensemble", "spreading": "traditional"}  # fmt: skip
SECONDS = {"majority": 0.01, "logistic": 0.5, "svm": 1.0, "cnn": 20.0, "consistency": 40.0, "semi-gan": 80.0,
           "gan-augment": 90.0, "probe": 1.5, "finetune": 60.0, "ensemble": 120.0, "spreading": 1.2}  # fmt: skip
UNCLEAN = Unclean("unlabelled", "unlabelled images", "5", "consistency", "it was mixed")


def summary(
    *budgets: dict[str, float], real: float = 0.02, n: int = ENOUGH, images: int = 1000, looks: int = 1, **more
) -> Summary:
    """A measured summary of accuracies {method: mean} for 5, 20, ... labels; differences above `real` are verdicts."""
    names = [str(5 * 4**i) for i in range(len(budgets))]
    scores, pairs, groups, per_class = [], [], [], []
    for name, accuracy in zip(names, budgets, strict=True):
        ranked = sorted(accuracy, key=lambda m: -accuracy[m])
        for method, mean in accuracy.items():
            each, none = (mean,) * n, Interval(0.0, 0.0, 0.0)
            right, seconds = RepeatedInterval(mean, mean - 0.01, mean + 0.01, each), SECONDS[method]
            balanced = RepeatedInterval(mean, mean - 0.01, mean + 0.01, each)
            times = FitSeconds(seconds, (seconds,) * n)
            wrong = round((1 - mean) * images)
            scores.append(ArmScore(method, name, n, 0, right, balanced, none, none, none, times, wrong=wrong))
        for a, b in combinations(ranked, 2):
            d = accuracy[a] - accuracy[b]
            verdict = "better" if d > real and n >= ENOUGH else "not enough evidence"
            difference = Difference(d, d - 0.02, d + 0.02, (d,) * n)
            p = 0.01 / len(accuracy) if d > real else 0.5
            pairs.append(Comparison(name, a, b, difference, n, p, 0.01, 0.01, 0.01, verdict))
        first = tuple(m for m in ranked if accuracy[ranked[0]] - accuracy[m] <= real or n < ENOUGH)
        groups.append(TieGroups(name, (first, tuple(m for m in ranked if m not in first))))
        recall = (0.8, 0.7, 0.9, images_needed(0.8))
        per_class += [ClassRecall(m, name, "cat", 0.8 * images, images, *recall) for m in accuracy]
    made = summaries.make_summary(methods=["svm"], budgets=["5"], classes=2, repeats=1, test=20)
    return replace(
        made,
        budgets=tuple(LabelBudget(b, 10 * int(b)) for b in names),
        methods=tuple(MethodEntry(m, m, m, FAMILY[m]) for m in FAMILY if any(m in b for b in budgets)),
        scores=tuple(scores),
        pairs=tuple(pairs),
        tie_groups=tuple(groups),
        ablations=tuple(ablations(pairs)),
        per_class=tuple(per_class),
        repeats=n,
        test=HeldOutPart(images, looks),
        **more,
    )


def failed(method: str, repeat: int, reason: str) -> FailedFit:
    return FailedFit(method, "5", repeat, "fit-failed", reason)


def reasons(advice: Recommendation, kind: str) -> list[str]:
    return [reason.text for reason in advice.reasons if reason.kind == kind]


def test_a_clear_winner():
    advice, verdict = advise(summary({"majority": 0.1, "svm": 0.8, "cnn": 0.9, "consistency": 0.97}))
    assert advice.method == "consistency"
    assert verdict == (
        "Use consistency (consistency): about 97 of 100 new images right, 95 % sure of 96 to 98. Next: look at its "
        "mistakes."
    )
    assert advice.sentence == (
        "consistency: 97.0 % of new images right with 5 labels a class (50 in all), 95 % interval 96.0 % to 98.0 %; "
        "better than every other method"
    )
    assert "it is better than cnn, svm and majority; the test allows for all" in reasons(advice, "accuracy")[0]
    assert advice.not_chosen[0] == NotChosen("cnn", "7.0 points less accurate on average, a real difference")
    assert advice.warnings == ()


def test_of_equals_the_simplest_is_chosen():
    advice, verdict = advise(summary({"svm": 0.965, "cnn": 0.968, "consistency": 0.97, "semi-gan": 0.969}))
    assert advice.method == "svm"
    assert "3 others may be as good." in verdict
    assert "not told apart from consistency, semi-gan and cnn, of which it is the simplest choice" in advice.sentence
    assert reasons(advice, "accuracy")[0] == (
        "consistency was the most accurate on average (+0.50 points (-1.5 to 2.5)), but is not shown to be better than "
        "svm, which is simpler and took 1 s instead of 40 s"
    )


def test_of_equals_in_one_family_the_fastest_is_chosen():
    assert advise(summary({"logistic": 0.9, "svm": 0.905}))[0].method == "logistic"


def test_simplicity_may_cost_half_a_point_but_not_three():
    """Not shown to be worse is not as good: of what cannot be told apart only near means are chosen for simplicity."""
    advice, _ = advise(summary({"svm": 0.94, "consistency": 0.97}, real=0.05))
    assert advice.method == "consistency"
    assert advice.not_chosen[0].reason == "3.0 points less accurate on average, which may be chance"


def test_where_nothing_beats_the_floor_nothing_was_learned():
    advice, verdict = advise(summary({"majority": 0.70, "svm": 0.701}))
    assert (advice.method, advice.budget) == (None, None)
    assert verdict == (
        "Nothing was learned: no method is shown to name new images better than always saying the most frequent class "
        "(70 of 100 right). Nothing is recommended. Next: check the labels."
    )
    assert advice.sentence == (
        "Likely causes: the labels may not belong to the images: look at a few of each class; images of 16x16 pixels "
        "may be too small to show the difference; the classes may not differ in what the images show"
    )
    look = "sparring data 'digits (embedded)'"
    assert [(step.kind, step.command) for step in advice.next] == [("data", look), ("data", f"{look} --audit")]
    learned, _ = advise(summary({"majority": 0.70, "svm": 0.75}))
    assert learned.method == "svm"
    alone, _ = advise(summary({"majority": 0.70}))
    assert alone.method == "majority"
    assert "nothing is shown to be better than ignoring the images" in alone.warnings[0]


def test_who_finds_rare_classes_has_learned_something():
    """Of uneven classes the floor is right about the frequent one: there balanced accuracy leads."""
    made = summary({"majority": 0.20, "svm": 0.60})
    scores = tuple(
        replace(s, accuracy=replace(s.accuracy, mean=m), balanced_accuracy=s.accuracy)
        for s, m in zip(made.scores, (0.70, 0.69), strict=True)
    )
    advice, verdict = advise(replace(made, scores=scores, leading="balanced accuracy"))
    assert advice.method == "svm"
    assert "about 60 of 100 new images of each class right" in verdict
    assert advice.sentence.startswith(
        "svm: 60.0 % of each class right on average with 5 labels a class (50 in all), 95 % interval 59.0 % to 61.0 % "
        "(69.0 % of all images)"
    )


def test_answers_that_have_to_do_with_the_images_are_better_than_guessing():
    """With a handful of test images of a class the interval is wide; the permutation test needs none."""
    made = summary({"majority": 0.20, "svm": 0.60}, real=0.9)

    def advised(p: float, ahead: bool = True):
        pairs = tuple(
            replace(pair, difference=pair.difference if ahead else pair.difference.reversed(), p=0.2)
            for pair in made.pairs
        )
        return advise(replace(made, pairs=pairs, scores=tuple(replace(s, guessing=p) for s in made.scores)))[0]

    assert advised(0.001).method == "svm"
    assert advised(0.02).method is None
    assert advised(0.001, ahead=False).method is None


def test_what_beats_the_floor_is_chosen_before_what_may_not():
    """svm is simpler and close, but not shown to have learned."""
    made = summary({"majority": 0.70, "svm": 0.718, "cnn": 0.721})
    assert advise(made)[0].method == "cnn"


def test_pretraining_is_told_with_its_verdict_and_what_comes_with_the_method():
    made = summary({"svm": 0.6, "cnn": 0.7, "probe": 0.88, "finetune": 0.92})
    scores = tuple(replace(s, pretrained="efficientnet-lite0: trunk") if s.method == "finetune" else s
                   for s in made.scores)  # fmt: skip
    advice, _ = advise(replace(made, scores=scores, unclean=(UNCLEAN,)))
    assert advice.method == "finetune"
    assert advice.sentence.endswith("; pretraining helped, +22.0 points (20.0 to 24.0)")
    assert reasons(advice, "pretrained") == [
        "it builds on what was learned from other images (efficientnet-lite0: trunk), which come with it"
    ]
    told = reasons(advice, "ablation")
    assert any(text.startswith("pretraining (finetune against cnn): +22.0 points") for text in told)
    assert any(text.startswith("pretrained features (probe against svm): +28.0 points") for text in told)
    assert "unlabelled images: no clean comparison, because it was mixed" in told


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        (0.9, "pretrained features instead of those of svm helped, +10.0 points (8.0 to 12.0)"),
        (0.7, "pretrained features instead of those of svm harmed, -10.0 points (-12.0 to -8.0)"),
        (0.81, "pretrained features instead of those of svm were not shown to help, +1.0 points (-1.0 to 3.0)"),
    ],
)
def test_without_finetune_the_verdict_is_about_features(probe, text):
    assert advise(summary({"svm": 0.8, "probe": probe}))[0].sentence.endswith(f"; {text}")


def test_pretrained_features_are_simpler_than_a_network_and_less_simple_than_features_by_hand():
    assert advise(summary({"probe": 0.897, "cnn": 0.9, "finetune": 0.9}))[0].method == "probe"
    assert advise(summary({"svm": 0.897, "probe": 0.9}))[0].method == "svm"
    assert advise(summary({"consistency": 0.897, "ensemble": 0.9}))[0].method == "consistency"
    assert advise(summary({"svm": 0.893, "probe": 0.9}))[0].method == "probe"  # more than half a point


def test_a_verdict_names_a_few_methods_and_counts_the_rest():
    assert some(["a", "b", "c", "d"]) == "a, b, c and d"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 others"


@pytest.mark.parametrize("n", [1, 3, 5])
def test_with_few_repeats_the_most_accurate_is_named_and_nothing_claimed(n):
    advice, _ = advise(summary({"svm": 0.7, "consistency": 0.97}, n=n))
    assert advice.method == "consistency"
    assert f"with {n} repeat{'s' * (n > 1)} no difference can be called real" in advice.sentence
    assert advice.warnings[0].startswith(f"no difference can be significant with n = {n}")
    assert f"{smallest_p(n):.2g}; run 6 repeats" in advice.warnings[0]


@pytest.mark.parametrize(
    ("semi", "text"),
    [
        (0.99, "the GAN helped, +6.0 points (4.0 to 8.0)"),
        (0.935, "the GAN was not shown to help, +0.50 points (-1.5 to 2.5)"),
        (0.85, "the GAN harmed, -8.0 points (-10.0 to -6.0)"),
    ],
)
def test_the_verdict_says_what_the_gan_brought(semi, text):
    advice, _ = advise(summary({"cnn": 0.9, "consistency": 0.93, "semi-gan": semi}))
    assert advice.sentence.endswith(f"; {text}")
    assert any(r.startswith("the GAN (semi-gan against consistency): ") for r in reasons(advice, "ablation"))
    assert "unlabelled images (consistency against cnn): +3.0 points (1.0 to 5.0), better than without" in reasons(
        advice, "ablation"
    )


def test_a_tie_of_the_gan_is_said_as_one():
    made = summary({"consistency": 0.93, "semi-gan": 0.931})
    made = replace(made, ablations=(replace(made.ablations[0], verdict="tie"),))
    advice, _ = advise(made)
    assert "the GAN made no difference that matters, +0.10 points" in advice.sentence
    assert any("no difference that matters" in r for r in reasons(advice, "ablation"))


def test_what_more_labels_would_bring():
    gain = MoreLabels("svm", "20", 50, 200, Interval(0.025, 0.01, 0.04))
    advice, verdict = advise(summary({"svm": 0.80}, {"svm": 0.95}, more_labels=(gain,)))
    assert reasons(advice, "more labels") == [
        "from 50 to 200 labels svm went from 80.0 % to 95.0 %; at this pace twice as many would bring 2.5 points more "
        "(1.0 to 4.0; an estimate)"
    ]
    assert verdict.endswith("Next: label more images.")
    assert advice.next[0].text == (
        "label more images: twice as many (400) would bring about 2.5 points more (1.0 to 4.0), if errors fall as they "
        "did from 50 to 200 labels"
    )
    nothing = replace(gain, gain=Interval(0.0, 0.0, 0.0004))
    advice, _ = advise(summary({"svm": 0.80}, {"svm": 0.95}, more_labels=(nothing,)))
    assert reasons(advice, "more labels")[0].endswith("from 80.0 % to 95.0 %; twice as many would hardly bring more")
    little = replace(gain, gain=Interval(0.002, 0.0, 0.01))
    assert advise(summary({"svm": 0.80}, {"svm": 0.95}, more_labels=(little,)))[0].next[0].kind == "mistakes"
    none = replace(gain, gain=Interval(0.0, 0.0, 0.0))
    steps = advise(summary({"svm": 0.80}, {"svm": 0.95}, more_labels=(none,)))[0].next
    assert steps and "labels" not in [step.kind for step in steps]
    one, _ = advise(summary({"svm": 0.95}))
    assert any("run two or more" in r for r in reasons(one, "more labels"))


def test_a_better_method_for_fewer_labels_is_named():
    advice, _ = advise(summary({"svm": 0.9, "cnn": 0.6}, {"svm": 0.92, "cnn": 0.97}))
    assert advice.method == "cnn"
    assert advice.budget == "20"
    assert "with only 5 labels a class (50 in all) svm is better" in reasons(advice, "other budget")


def test_failing_methods_are_warned_about():
    errors = tuple(failed("cnn", repeat, "out of paint") for repeat in range(3))
    advice, _ = advise(summary({"svm": 0.9}, errors=errors))
    assert advice.warnings == ("cnn failed in 3 fits and is compared without them, or not at all: out of paint",)


def test_nothing_that_worked():
    advice, verdict = advise(summary({}, errors=(failed("cnn", 0, "no"),)))
    assert advice.method is None
    assert verdict == "No fit succeeded: there is nothing to recommend"
    assert advice.warnings == ("cnn failed in 1 fit and is compared without them, or not at all: no",)


def test_the_largest_budget_at_which_anything_worked_counts():
    made = summary({"svm": 0.9}, {"svm": 0.95})
    made = replace(made, scores=made.scores[:1], unmeasured=(UnmeasuredArm("svm", "20", 6),))
    assert advise(made)[0].budget == "5"


def test_small_test_parts_and_rare_classes():
    advice, _ = advise(summary({"svm": 0.9}, images=20))
    assert advice.warnings == (
        "only 20 test images: differences of a few points cannot be told from chance",
        "class cat has 20 test images: its recall 80.0 % may be 70.0 % to 90.0 %; about 225 more are needed for +-5 "
        "points",
    )


def test_uneven_classes_are_told_with_the_method_that_serves_them():
    made = summary({"logistic": 0.90, "svm": 0.905})
    means = zip(made.scores, (0.6, 0.8), strict=True)
    scores = (replace(s, balanced_accuracy=replace(s.balanced_accuracy, mean=mean)) for s, mean in means)
    advice, _ = advise(replace(made, scores=tuple(scores)))
    assert advice.warnings == (
        "classes are uneven: 90.0 % of images are right, but on average only 60.0 % of each class; svm reaches 80.0 %",
    )


def test_looks_notes_and_gates_are_told():
    gates = tuple(GateRow(r == 0, None, None, None, None, None, "", "gan-augment", "5", r) for r in range(6))
    made = summary({"cnn": 0.9, "gan-augment": 0.89}, looks=2, gates=gates, notes=("the time ran out",))
    advice, _ = advise(made)
    assert "generated images passed the gate of gan-augment in 1 of 6 fits" in reasons(advice, "gate")
    assert "the time ran out" in advice.warnings
    assert (
        "the test labels were opened 2 times: choices made in between make the numbers look too good" in advice.warnings
    )


def test_every_other_method_gets_its_reason():
    advice, _ = advise(summary({"svm": 0.965, "cnn": 0.90, "consistency": 0.97, "semi-gan": 0.965}))
    why_not = {row.method: row.reason for row in advice.not_chosen}
    assert why_not == {
        "consistency": "0.50 points more accurate on average, which may be chance; svm is simpler and took 1 s "
        "instead of 40 s",
        "semi-gan": "as accurate on average; svm is simpler and took 1 s instead of 80 s",
        "cnn": "6.5 points less accurate on average, a real difference",
    }


@pytest.mark.parametrize(("budget", "words"), [("1", "1 label a class (10 in all)"), ("all", "all 48,000 labels")])
def test_one_label_is_one_label(budget, words):
    made = summary({"svm": 0.9})
    rows = {
        name: tuple(replace(row, budget=budget) for row in getattr(made, name)) for name in ("scores", "tie_groups")
    }
    made = replace(made, budgets=(LabelBudget(budget, 10 if budget == "1" else 48000),), **rows)
    assert f"with {words}" in advise(made)[0].sentence


def test_with_one_repeat_too_nothing_may_be_learned():
    advice, verdict = advise(summary({"majority": 0.7, "svm": 0.7}, n=1))
    assert advice.method is None and verdict.startswith("Nothing was learned")
    assert "smallest p that 1 repeat can reach" in advice.warnings[0]


def test_hardly_any_test_images_carry_no_headline():
    advice, verdict = advise(summary({"svm": 0.75, "cnn": 0.5}, images=4))
    assert verdict == (
        "No verdict: 4 test images are too few. svm was right in 75 % of them. Label more images, so that at least 20 "
        "can test."
    )
    assert advice.method == "svm"
    assert advise(summary({"svm": 0.75}, images=1))[1].startswith("No verdict: 1 test image is too few.")
    assert advise(summary({"svm": 0.75}, images=20))[1].startswith("Use svm")


# The headline.


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("leading", ["accuracy", "balanced accuracy"])
def test_a_headline_has_few_words_and_no_name_without_its_meaning(name, running, leading):
    made = summary({"majority": 0.1, name: 0.995} if name != "majority" else {"majority": 0.995})
    entries = tuple(MethodEntry(m, row.title, row.what, row.family) for m, row in METHODS.items())
    made = replace(made, methods=entries, running=running, leading=leading)
    for others in (0, 1, 10):
        for kind in ("time", "labels", "mistakes", None):
            step = kind and NextStep(kind, "anything")
            text = headline(made, made.scores[-1], others, step)
            assert len(text.split()) <= MOST_WORDS
            title = METHODS[name].title
            assert f"se {name} ({title[:1].lower()}{title[1:]})" in text
            assert "over 99 of 100 new images" in text and "95 % sure of" in text
            assert text.startswith("So far: use" if running else "Use")


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100"), (0.999, "over 99"), (0.994, "99"), (0.5, "50"), (0.004, "under 1"), (0.0, "0")],
)
def test_shares_of_a_hundred(share, words):
    assert in_hundred(share) == words


# Reasons are true.


def ranks(accuracy: dict[str, float], **more) -> str:
    return advise(summary(accuracy, real=0.2, **more))[0].sentence


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        ({"svm": 0.96, "cnn": 0.963}, "not told apart from cnn, of which it is the simplest choice"),
        ({"svm": 0.90, "cnn": 0.96}, "not told apart from svm, of which it is the most accurate choice"),
        ({"logistic": 0.90, "svm": 0.90, "cnn": 0.96}, "of which it is the most accurate choice"),
        ({"majority": 0.1, "svm": 0.9, "cnn": 0.96}, "better than majority, not told apart from svm"),
        ({"majority": 0.1, "svm": 0.6, "cnn": 0.96}, "better than every other method"),
        ({"majority": 0.1, "cnn": 0.96}, "better than majority"),
        ({"cnn": 0.96}, "cnn: 96.0 % of new images right with 5 labels a class (50 in all)"),
    ],
)
def test_reasons_are_true(accuracy, said):
    assert said in ranks(accuracy)
    assert advise(summary(accuracy, real=0.2))[0].method == max(
        accuracy, key=lambda m: (round(accuracy[m], 2), -list(accuracy).index(m))
    )


# Incomplete arms.


def with_repeats(made: Summary, method: str, n: int, difference: float | None = None, half: float = 0.02) -> Summary:
    """The same summary, in which an arm has only n repeats, and differs by so much from every other."""
    scores = tuple(replace(s, n=n) if s.method == method else s for s in made.scores)
    pairs = []
    for pair in made.pairs:
        if method in (pair.a, pair.b):
            d = pair.difference.mean if difference is None else difference * (1 if pair.a == method else -1)
            shown = replace(pair.difference, mean=d, low=d - half, high=d + half)
            pairs.append(replace(pair, n=n, difference=shown, verdict="not enough evidence"))
        else:
            pairs.append(pair)
    return replace(made, scores=scores, pairs=tuple(pairs))


def test_an_incomplete_arm_is_chosen_only_where_it_is_ahead_on_its_own_repeats():
    made = summary({"majority": 0.1, "svm": 0.8, "cnn": 0.9})
    assert advise(with_repeats(made, "cnn", 3, 0.01))[0].method == "svm"
    advice, _ = advise(with_repeats(made, "cnn", 3, 0.06))
    assert advice.method == "cnn"
    assert "chosen by 3 of 6 repeats, too few to be sure" in advice.sentence
    assert advise(with_repeats(made, "cnn", 1, 0.06))[0].method == "svm"


def test_what_has_too_few_repeats_for_a_verdict_is_not_said_to_be_as_good():
    """svm is 30 points behind on three repeats: no verdict, and surely not as good."""
    made = with_repeats(summary({"logistic": 0.88, "svm": 0.6, "cnn": 0.9}, real=0.5), "svm", 3)
    advice, verdict = advise(made)
    assert "ahead of svm (too few repeats for a verdict), not told apart from logistic" in advice.sentence
    assert "1 other may be as good" in verdict


def test_where_no_arm_is_complete_the_best_is_chosen():
    made = replace(summary({"majority": 0.1, "svm": 0.8, "cnn": 0.9}, n=3), repeats=6)
    assert advise(made)[0].method == "cnn"


# What to do next.


def short(method: str, repeats: int = 0, seconds: float = 600.0, **more) -> ShortArm:
    return ShortArm(method, "5", repeats, 6, seconds, **more)


def test_methods_without_time_are_named_with_the_command_that_has_it():
    dear = short("finetune", seconds=4000.0)
    made = summary({"svm": 0.9}, short=(short("consistency"), short("cnn", 3, 20.0), short("gan", behind="svm"), dear))
    made = replace(made, command="sparring compare photos --minutes 4 --seed 1")
    advice, verdict = advise(made)
    assert verdict.endswith("Next: give it more time.")
    step = advice.next[0]
    assert step.text == (
        "consistency had no time (a fit takes 10 min) and may be better or not. The same command with --minutes 60 "
        "goes on and gives it 3 repeats"
    )
    assert step.command == "sparring compare photos --seed 1 --minutes 60"
    few, _ = advise(replace(made, short=(short("cnn", 3, 20.0),)))
    assert few.next[0].text.startswith("cnn had time for few repeats. The same command with --minutes 15 goes on")
    both, _ = advise(replace(made, short=(short("consistency"), short("cnn", seconds=30.0))))
    assert both.next[0].text.startswith("cnn had no time (a fit takes 30 s)")
    both, _ = advise(replace(made, short=(short("consistency", seconds=60.0), short("cnn", seconds=30.0))))
    assert both.next[0].text.startswith("cnn and consistency had no time (a fit takes up to 60 s)")


def test_without_time_is_said_in_words():
    told = list(time_words([short("consistency"), short("cnn", 3), replace(short("cnn", 3), budget="all"),
                            short("net", 3, behind="svm"), short("ensemble")], {"ensemble", "cnn"}))  # fmt: skip
    assert told == [
        "No time for consistency (10 min a fit)",
        "Fewer repeats of cnn at 5 and all (3 of 6), net at 5 (3 of 6, clearly behind svm) and ensemble at 5 (none of "
        "6)",
    ]


# Of methods that cannot be told apart.


def with_brier(made: Summary, **brier: float) -> Summary:
    scores = tuple(replace(s, brier=Interval(brier[s.method], 0.0, 1.0)) for s in made.scores)
    return replace(made, scores=scores)


def test_within_a_standard_error_the_better_probabilities_decide():
    """The interval is +-2 points, so a standard error is 1 point."""
    close = with_brier(summary({"svm": 0.912, "cnn": 0.920}), svm=0.20, cnn=0.12)
    assert advise(close)[0].method == "cnn"
    turned = with_brier(summary({"svm": 0.920, "cnn": 0.912}), svm=0.20, cnn=0.12)
    advice, _ = advise(turned)
    assert advice.method == "cnn"
    assert "not told apart from svm, of which its probabilities are among the best" in advice.sentence
    assert reasons(advice, "accuracy") == [
        "svm was the most accurate on average (+0.80 points (-1.2 to 2.8)), but is not shown to be better than cnn, "
        "whose probabilities are better (Brier score 0.120 against 0.200)"
    ]
    apart = with_brier(summary({"svm": 0.935, "cnn": 0.920}), svm=0.20, cnn=0.12)
    assert advise(apart)[0].method == "svm"


def test_of_equal_probabilities_the_simplest():
    made = with_brier(summary({"svm": 0.915, "cnn": 0.92}), svm=0.124, cnn=0.12)
    assert advise(made)[0].method == "svm"


def test_an_incomplete_arm_is_measured_on_the_repeats_that_both_have():
    """cnn has 90 % on its three repeats, where svm had 88 %: 2 points better than the 80 % of svm, not 10."""
    made = with_repeats(summary({"svm": 0.80, "logistic": 0.815, "cnn": 0.90}), "cnn", 3, 0.01)
    assert advise(made)[0].method != "cnn"
    assert advise(with_repeats(made, "cnn", 3, 0.05))[0].method == "cnn"
    assert advise(with_repeats(made, "cnn", 2, 0.05))[0].method != "cnn"


def test_with_hardly_any_test_images_nothing_is_said_to_be_learned_or_not():
    advice, verdict = advise(summary({"majority": 0.17, "svm": 0.18, "cnn": 0.30}, images=12, real=0.5))
    assert advice.method == "cnn"
    assert verdict.startswith("No verdict: 12 test images are too few. cnn was right in 30 % of them.")
