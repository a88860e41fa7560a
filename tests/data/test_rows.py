"""A split's name says what it is: one training split, and sets to score that may be parts of dev or test."""

import pytest

from allinone.data.rows import in_split, split_name


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("train-clean-100", "train"),
        ("Training", "train"),
        ("validation", "dev"),
        ("dev_other", "dev-other"),
        ("test-clean", "test-clean"),
        ("Eval Far Field", "test-far-field"),
        ("test-", "test"),
        ("tested", ""),
        ("", ""),
    ],
)
def test_names_stand_for_splits(name, split):
    assert split_name(name) == split


def test_a_part_is_in_its_whole_and_no_other_way():
    assert in_split("test-hub5-swbd", "test")
    assert in_split("test-hub5-swbd", "test-hub5")
    assert in_split("test", "test")
    assert not in_split("test", "test-hub5")
    assert not in_split("test-hub50", "test-hub5")
