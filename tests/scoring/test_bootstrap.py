"""The bootstrap: an independent one as oracle, pairing, chance and its bounds."""

import random

import kaldialign
import numpy as np
import pytest

from allinone.scoring import ErrorCounts
from allinone.scoring.bootstrap import interval, resampled_rates


def test_intervals_are_those_of_an_independent_bootstrap():
    chance = random.Random(0)
    said = [chance.choices("abcdefgh", k=chance.randint(3, 15)) for _ in range(300)]
    heard = [[word if chance.random() < 0.8 else "x" for word in words] for words in said]  # substitutions alone
    pairs = [list(zip(*utterance, strict=True)) for utterance in zip(said, heard, strict=True)]
    counts = [ErrorCounts(sum(one != other for one, other in pair), 0, 0, len(pair)) for pair in pairs]
    low, high = interval(resampled_rates([counts], 10_000, seed=0)[0], 0.05)
    other = kaldialign.bootstrap_wer_ci(said, heard, replications=10_000, seed=0)
    assert (low, high) == pytest.approx((100 * other["ci95min"], 100 * other["ci95max"]), abs=0.05)


def test_the_spread_is_what_theory_says():
    counts = [ErrorCounts(number % 2, 0, 0, 1) for number in range(400)]
    rates = resampled_rates([counts], 10_000, seed=0)[0]
    assert rates.std() == pytest.approx(100 * np.sqrt(0.5 * 0.5 / 400), rel=0.03)  # of a mean of 400 coins
    assert rates.mean() == pytest.approx(50, abs=0.1)


def test_systems_are_scored_on_the_same_utterances():
    chance = random.Random(0)
    one = [ErrorCounts(chance.randint(0, 5), 0, 0, 6) for _ in range(50)]
    rates = resampled_rates([one, one, [ErrorCounts(c.errors + 1, 0, 0, 6) for c in one]], 1_000, seed=1)
    assert (rates[0] == rates[1]).all()
    assert rates[2] - rates[0] == pytest.approx(100 / 6)  # one error more in every utterance


def test_the_seed_decides():
    counts = [ErrorCounts(number % 3, 0, 0, 5) for number in range(40)]
    first, second, third = (resampled_rates([counts], 200, seed) for seed in (7, 7, 8))
    assert (first == second).all()
    assert not (first == third).all()


def test_a_sample_without_words_has_no_rate():
    rates = resampled_rates([[ErrorCounts(0, 0, 2, 0), ErrorCounts(1, 0, 0, 4)]], 400, seed=0)[0]
    assert 200 < len(rates) < 400  # a quarter drew the empty reference twice
    assert set(rates) == {25.0, 75.0}  # 2 errors of 8 words, 3 of 4


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match=r"requires at least 100 samples; found 99\. Draw 1000 or more\."):
        resampled_rates([[ErrorCounts(1, 0, 0, 2)]], 99, seed=0)
