"""Drawn numbers are the same everywhere and different for different names."""

from allinone.data.chance import draw


def test_a_draw_is_the_same_in_every_process():
    assert draw("order", 0, 1) == 8556750900509299915  # written down once: a change would alter every resumed run


def test_draws_fit_int64_and_spread_evenly():
    numbers = [draw("speed", 1, 0, f"cut-{index}") for index in range(3000)]
    assert 0 <= min(numbers) <= max(numbers) < 2**63
    assert len(set(numbers)) == len(numbers)
    thirds = [sum(number % 3 == third for number in numbers) for third in range(3)]
    assert all(900 < count < 1100 for count in thirds)


def test_names_are_not_confused_when_joined():
    assert len({draw("ab", "c"), draw("a", "bc"), draw("abc"), draw(1, 23), draw(12, 3), draw("1", 23)}) == 6
