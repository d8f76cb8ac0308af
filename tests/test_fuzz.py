"""A few odd files of every kind; benchmarks/fuzz.py tries as many as one likes."""

from random import Random

import pytest
from fuzzing import TARGETS, tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = {"images": 150, "npz": 40, "parquet": 60, "safetensors": 150, "records": 40, "tables": 60}


def test_every_kind_is_tried():
    assert QUICK.keys() == TARGETS.keys()


@pytest.mark.parametrize("kind", TARGETS)
def test_whole_files_can_be_read(kind):
    for raw in TARGETS[kind].whole():
        TARGETS[kind].read(raw)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", QUICK)
def test_an_odd_file_is_read_or_refused_by_a_sentence(kind):  # S35
    @settings(max_examples=QUICK[kind], deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 1 << 32))
    def odd(number):
        tried(TARGETS[kind], Random(number))

    odd()
