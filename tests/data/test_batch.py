"""Splitting a batch loses nothing, balances durations and is a pure function of the lengths."""

import pytest
import torch

from allinone.data.batch import Batch, collate


def make(*lengths: int) -> Batch:
    generator = torch.Generator().manual_seed(sum(lengths))
    return collate(
        waveforms=[torch.randn(length, generator=generator) for length in lengths],
        labels=[list(range(1, 2 + index % 3)) for index, _ in enumerate(lengths)],
        seeds=[100 + index for index, _ in enumerate(lengths)],
        ids=[f"u{index}" for index, _ in enumerate(lengths)],
        texts=[f"text {index}" for index, _ in enumerate(lengths)],
    )


def test_collating_pads_with_zeros_and_keeps_true_lengths():
    batch = make(5, 9, 3)
    assert batch.waveforms.shape == (3, 9)
    assert batch.waveforms.dtype == torch.float32
    assert batch.waveforms[2, 3:].eq(0).all()
    assert batch.labels.tolist() == [[1, 0, 0], [1, 2, 0], [1, 2, 3]]
    assert batch.label_lengths.tolist() == [1, 2, 3]
    assert batch.seeds.dtype == batch.lengths.dtype == batch.labels.dtype == torch.int64
    assert batch.seconds == 17 / 16000
    assert len(batch) == 3


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_parts_hold_every_utterance_once_and_unchanged(parts):
    batch = make(5, 9, 3, 7, 7)
    divided = [batch.select(rows) for rows in batch.parts(parts)]
    assert len(divided) == parts
    assert sorted(name for part in divided for name in part.ids) == sorted(batch.ids)
    for part in divided:
        assert part.waveforms.shape[1] == int(part.lengths.max())
        assert part.labels.shape[1] == int(part.label_lengths.max())
        for row, name in enumerate(part.ids):
            origin, length = batch.ids.index(name), int(part.lengths[row])
            assert length == batch.lengths[origin]
            assert torch.equal(part.waveforms[row, :length], batch.waveforms[origin, :length])
            assert part.labels[row, : part.label_lengths[row]].tolist() == list(range(1, 2 + origin % 3))
            assert part.seeds[row] == batch.seeds[origin]
            assert part.texts[row] == batch.texts[origin]


def test_parts_last_about_equally_long():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(500, 2000, (40,), generator=generator).tolist()
    for parts in (2, 3, 4):
        batch = make(*lengths)
        totals = [int(batch.lengths[list(rows)].sum()) for rows in batch.parts(parts)]
        assert max(totals) - min(totals) <= min(lengths)  # the bound of longest-first assignment


def test_splitting_twice_gives_the_same_parts():
    assert make(5, 9, 3, 7, 7).parts(3) == make(5, 9, 3, 7, 7).parts(3)


def test_fewer_utterances_than_parts_give_fewer_parts_and_none_is_empty():
    assert [len(part) for part in make(5, 9).parts(4)] == [1, 1]
    assert [len(part) for part in make(4, 4, 4).parts(3)] == [1, 1, 1]


def test_moving_keeps_every_field():
    batch = make(5, 9)
    moved = batch.to("cpu")
    assert moved.ids == batch.ids
    assert torch.equal(moved.waveforms, batch.waveforms)


def test_less_than_one_part_is_refused():
    with pytest.raises(ValueError, match=r"requires at least 1 part, found 0; ask for 1 or more"):
        make(5).parts(0)
