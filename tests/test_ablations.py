"""Ablations: pairs of methods that differ in one ingredient alone, whatever trunk they started from."""

from itertools import combinations

import pytest

from sparring.stats import Difference
from sparring.study.ablations import Start, ablations, starts_of, unclean
from sparring.study.records import Comparison, FitMachine, FitRow, Problem

ACCURACY = {"logistic": 0.6, "svm": 0.65, "probe": 0.8, "cnn": 0.7, "finetune": 0.9, "consistency": 0.95,
            "semi-gan": 0.94, "gan-augment": 0.72}  # fmt: skip
LITE = "efficientnet-lite0"
SCRATCH, PRETRAINED = Start(), Start(frozenset({LITE}))
MIXED = Start(frozenset({LITE, None}))


def pairs(*left_out: str) -> list[Comparison]:
    """All pairs at budget 5, the more accurate first, as a study has them."""
    ranked = sorted((m for m in ACCURACY if m not in left_out), key=lambda m: -ACCURACY[m])
    found = []
    for a, b in combinations(ranked, 2):
        d = ACCURACY[a] - ACCURACY[b]
        difference = Difference(d, d - 0.02, d + 0.02, (d,) * 6)
        found.append(Comparison("5", a, b, difference, 6, 0.01, 0.01, 0.01, 0.9, "better"))
    return found


def starts(**named: Start) -> dict:
    """All from scratch but finetune, and but what is named."""
    base = dict.fromkeys(ACCURACY, SCRATCH) | {"finetune": PRETRAINED, "probe": Start(elsewhere=True)}
    return {(name.replace("_", "-"), "5"): start for name, start in (base | named).items()}


def shown(found) -> dict:
    return {row.kind: (row.a, row.b, round(row.difference.mean, 6)) for row in found}


def test_from_scratch():
    found = shown(ablations(pairs(), starts()))
    assert found == {
        "pretraining": ("finetune", "cnn", 0.2),
        "features": ("probe", "svm", 0.15),  # the better of those made by hand
        "unlabelled": ("consistency", "cnn", 0.25),
        "gan": ("semi-gan", "consistency", -0.01),
        "generated": ("gan-augment", "cnn", 0.02),
    }
    assert not list(unclean(starts()))
    assert [row.verdict for row in ablations(pairs(), starts())] == ["better", "better", "better", "worse", "better"]


def test_a_method_is_compared_with_the_baseline_of_its_own_trunk():
    given = starts(consistency=PRETRAINED, semi_gan=PRETRAINED)
    found = shown(ablations(pairs(), given))
    assert found["unlabelled"] == ("consistency", "finetune", 0.05)
    assert found["gan"] == ("semi-gan", "consistency", -0.01)
    assert found["generated"] == ("gan-augment", "cnn", 0.02)
    assert not list(unclean(given))


@pytest.mark.parametrize(
    ("given", "lost"),
    [
        (
            {"consistency": MIXED},
            {
                "unlabelled": "consistency started from scratch in some repeats and from the pretrained network in "
                "others",
                "gan": "consistency started from scratch in some repeats and from the pretrained network in others",
            },
        ),
        ({"semi_gan": PRETRAINED}, {"gan": "semi-gan started from the pretrained network, consistency from scratch"}),
        (
            {"consistency": Start(elsewhere=True)},
            {
                "unlabelled": "only consistency used features of the pretrained network",
                "gan": "only consistency used features of the pretrained network",
            },
        ),
        ({"consistency": Start(elsewhere=True), "semi_gan": Start(elsewhere=True)},
         {"unlabelled": "only consistency used features of the pretrained network"}),
        ({"cnn": PRETRAINED}, {
            "pretraining": "cnn started from the pretrained network too",
            "unlabelled": "consistency started from scratch, cnn from the pretrained network",
            "generated": "gan-augment started from scratch, cnn from the pretrained network",
        }),
    ],
)  # fmt: skip
def test_where_nothing_can_be_said_the_reason_is(given, lost):
    found, missing = list(ablations(pairs(), starts(**given))), list(unclean(starts(**given)))
    assert {row.kind: row.reason for row in missing} == lost
    assert {row.kind for row in found} == {"pretraining", "features", "unlabelled", "gan", "generated"} - lost.keys()


def test_a_baseline_that_the_study_lacks():
    given = {place: start for place, start in starts(consistency=PRETRAINED).items() if place[0] != "finetune"}
    assert "unlabelled" not in shown(ablations(pairs("finetune"), given))
    assert [row.reason for row in unclean(given) if row.kind == "unlabelled"] == [
        "consistency started from the pretrained network, and finetune, which does so too, has no result"
    ]
    alone = {("consistency", "5"): PRETRAINED}
    assert not list(unclean(alone))  # a study that does not ask


def test_starts_are_what_fits_noted():
    def row(repeat: int, **noted) -> FitRow:
        machine = FitMachine("a processor", 2, None, "a processor")
        return FitRow("m", "5", repeat, "error", Problem("x", "y", "z"), 10, 0, 1, None, {}, machine, 1.0, noted, "d")

    assert starts_of({("m", "5"): [row(0), row(1)]}) == {("m", "5"): SCRATCH}
    trunk = {"trunk": LITE, "pretrained": f"{LITE}: trunk"}
    assert starts_of({("m", "5"): [row(0, **trunk), row(1)]}) == {("m", "5"): MIXED}
    graph = {"pretrained": f"{LITE}: neighbour graph"}
    assert starts_of({("m", "5"): [row(0), row(1, **graph)]}) == {("m", "5"): Start(elsewhere=True)}
    assert starts_of({("m", "5"): [row(0, **trunk)]}) == {("m", "5"): PRETRAINED}
