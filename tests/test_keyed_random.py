"""Keyed random numbers: right bits, right distributions, and independent of who asks for how many."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparring import keyed_random

MASK = 2**64 - 1


def splitmix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40))
def test_bits_are_splitmix64_with_python_integers(key, index):
    golden = 0x9E3779B97F4A7C15
    start = splitmix((index * golden + key) & MASK)
    expected = [splitmix((start + golden * (j + 1)) & MASK) for j in range(3)]
    assert [b & MASK for b in keyed_random.bits(key, torch.tensor([index]), 3)[0].tolist()] == expected


def test_an_image_has_the_same_numbers_in_every_batch():
    whole = keyed_random.normal(keyed_random.key("a"), torch.arange(100), 3, 2)
    assert torch.equal(whole[40:60], keyed_random.normal(keyed_random.key("a"), torch.arange(40, 60), 3, 2))
    assert not torch.equal(whole, keyed_random.normal(keyed_random.key("b"), torch.arange(100), 3, 2))


def test_distributions():
    u = keyed_random.uniform(keyed_random.key(0), torch.arange(20_000), 2)
    assert u.min() >= 0 and u.max() < 1
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 0.001
    assert abs(stats.pearsonr(u[:, 0].numpy(), u[:, 1].numpy()).statistic) < 0.03
    assert abs(stats.pearsonr(u[:-1, 0].numpy(), u[1:, 0].numpy()).statistic) < 0.03
    z = keyed_random.normal(keyed_random.key(1), torch.arange(20_000), 2)
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 0.001


def test_every_epoch_is_a_new_permutation_and_shards_agree():  # R04
    stream = (0, "D", "all")
    positions = keyed_random.shuffled(stream, torch.arange(30), 10)
    epochs = positions.view(3, 10)
    assert all(sorted(e.tolist()) == list(range(10)) for e in epochs)
    assert len({tuple(e.tolist()) for e in epochs}) == 3
    assert torch.equal(positions[7:23], keyed_random.shuffled(stream, torch.arange(7, 23), 10))


def test_permutations_are_fair():
    firsts = [keyed_random.order(keyed_random.key(i), 5)[0].item() for i in range(2000)]
    counts = torch.bincount(torch.tensor(firsts), minlength=5)
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_keys_tell_names_apart():
    keys = {keyed_random.key(*names) for names in [(1, "a"), ("1", "a"), ("a", 1), (1,), ("a",), (1, "a", None)]}
    assert len(keys) == 6 and all(-(2**63) <= k < 2**63 for k in keys)
    assert math.log2(max(abs(k) for k in keys)) > 50
