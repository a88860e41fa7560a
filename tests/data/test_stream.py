"""The stream of batches is a pure function of seed, epoch, world size and rank, and starts anywhere (law 9)."""

import itertools
import pickle
from dataclasses import asdict

import pytest
import torch

from allinone.data.batch import Batch
from allinone.data.stream import Position, TrainingStream

EPOCHS = 3


def planned(stream: TrainingStream, epochs: int = EPOCHS) -> list[tuple[int, list[tuple[str, float]]]]:
    """Epoch, ids and durations of every batch of the first epochs."""
    batches = itertools.takewhile(lambda item: item[0] < epochs, stream)
    return [(epoch, [(cut.id, cut.duration) for cut in cuts.data]) for epoch, cuts in batches]


@pytest.fixture
def cuts(make_data):
    return make_data().cuts["train"]


def make(cuts, **settings) -> TrainingStream:
    defaults = {"batch_seconds": 6.0, "num_buckets": 3, "speed_factors": (0.9, 1.0, 1.1), "seed": 5}
    return TrainingStream(cuts, **(defaults | settings))


def test_every_epoch_holds_every_utterance_once(cuts):
    plan = planned(make(cuts))
    for epoch in range(EPOCHS):
        names = [name for number, batch in plan if number == epoch for name, _ in batch]
        assert sorted(names) == sorted(cut.id for cut in cuts)


def test_epochs_differ_in_order_and_in_speed(cuts):
    plan = planned(make(cuts))
    first, second = ([item for number, batch in plan if number == epoch for item in batch] for epoch in (0, 1))
    assert [name for name, _ in first] != [name for name, _ in second]
    assert dict(first) != dict(second)


def test_equal_seeds_give_equal_streams_and_others_do_not(cuts):
    assert planned(make(cuts)) == planned(make(cuts))
    assert planned(make(cuts)) != planned(make(cuts, seed=6))


def test_durations_are_limited_after_speed_perturbation(cuts):
    for _, batch in planned(make(cuts)):
        assert sum(seconds for _, seconds in batch) <= 6.0


def test_speeds_are_the_chosen_factors(cuts):
    durations = {cut.id: cut.duration for cut in cuts}
    factors = {round(durations[name] / seconds, 2) for _, batch in planned(make(cuts)) for name, seconds in batch}
    assert factors == {0.9, 1.0, 1.1}
    without = {round(durations[name] / s, 2) for _, batch in planned(make(cuts, speed_factors=())) for name, s in batch}
    assert without == {1.0}


def test_a_speed_that_does_not_fit_is_left_out(cuts):
    stream = make(cuts, fits=lambda cut, factor: factor >= 1.0)
    durations = {cut.id: cut.duration for cut in cuts}
    factors = {round(durations[name] / seconds, 2) for _, batch in planned(stream) for name, seconds in batch}
    assert factors == {1.0, 1.1}


def test_starting_at_any_batch_gives_the_rest_of_the_stream(cuts):
    whole = planned(make(cuts))
    stream = make(cuts)
    planned(stream)
    for consumed in range(len(whole) + 1):
        position = stream.position(consumed)
        assert planned(make(cuts, start=position)) == whole[consumed:]


def test_a_position_replays_at_most_one_epoch(cuts):
    whole = planned(stream := make(cuts))
    for consumed in range(len(whole)):
        position = stream.position(consumed)
        assert position.epoch == whole[consumed][0]
        assert position.epoch_start == [epoch for epoch, _ in whole].index(position.epoch)


def test_positions_chain_over_several_resumes(cuts):
    whole = planned(make(cuts))
    position = Position()
    for consumed in (3, 4, len(whole) // 2, len(whole) - 1):
        stream = make(cuts, start=position)
        planned(stream)
        position = stream.position(consumed)
        assert planned(make(cuts, start=Position(**asdict(position)))) == whole[consumed:]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_an_epoch_in_equally_many_batches(cuts, world_size):
    plans = [planned(make(cuts, world_size=world_size, rank=rank)) for rank in range(world_size)]
    assert len({len(plan) for plan in plans}) == 1
    names = [name for plan in plans for epoch, batch in plan if epoch == 1 for name, _ in batch]
    assert {name.partition("_dup")[0] for name in names} == {cut.id for cut in cuts}
    assert len(names) - len(cuts) < world_size
    assert planned(make(cuts, world_size=world_size, rank=1)) == plans[1]


def test_few_utterances_and_many_buckets_still_stream(cuts):
    for count in (1, 2, 9):
        plan = planned(make(cuts[:count], num_buckets=10))
        assert len({name for _, batch in plan for name, _ in batch}) == count
        ranks = [len(planned(make(cuts[:count], num_buckets=10, world_size=2, rank=rank))) for rank in (0, 1)]
        assert ranks[0] == ranks[1]


def samples(data, count: int) -> list[Batch]:
    return list(itertools.islice(data.train_dataloader(), count))


def equal(left: Batch, right: Batch) -> bool:
    tensors = ("waveforms", "lengths", "labels", "label_lengths", "seeds")
    same = all(torch.equal(getattr(left, name), getattr(right, name)) for name in tensors)
    return same and left.ids == right.ids and left.texts == right.texts


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_batches_are_equal_bit_for_bit_audio_included(make_data, workers):
    count, consumed = 24, 17
    whole = samples(make_data(), count)
    before = make_data(num_workers=workers)
    assert all(map(equal, samples(before, consumed), whole[:consumed]))
    state = before.state(consumed)
    assert state["epoch"] == 1, "the test is to resume in a later epoch"
    assert all(type(value) is int for value in state.values())
    after = make_data(num_workers=workers)
    after.resume(pickle.loads(pickle.dumps(state)))
    assert all(map(equal, samples(after, count - consumed), whole[consumed:]))


def test_loading_leaves_the_global_generator_alone(make_data):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    samples(make_data(num_workers=2), 2)
    assert torch.equal(torch.get_rng_state(), before)


def seeds(data) -> set[tuple[int, str]]:
    return {pair for batch in samples(data, 24) for pair in zip(batch.seeds.tolist(), batch.ids, strict=True)}


def test_seeds_differ_by_utterance_and_epoch_and_not_by_run(make_data):
    first, again, other = seeds(make_data()), seeds(make_data()), seeds(make_data(seed=1))
    assert first == again
    assert not first & other
    assert len({seed for seed, _ in first}) == len(first) > len({name for _, name in first})


def test_impossible_settings_are_refused(cuts):
    with pytest.raises(ValueError, match=r"training requires utterances, found none; see the data report"):
        make([])
    with pytest.raises(ValueError, match=r"0 <= rank < world_size, found 6.0, 3, rank 2 of 2; correct"):
        make(cuts, rank=2, world_size=2)
    with pytest.raises(ValueError, match=r"0 <= epoch_start <= consumed .*found .*'consumed': 1.*; resume from"):
        Position(consumed=1, epoch=0, epoch_start=2)
    with pytest.raises(ValueError, match=r"found 3 in a stream that began at .*; count consumed batches"):
        make(cuts, start=Position(9, 1, 8)).position(3)
