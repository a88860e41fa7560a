"""Tests of survival levels in training: what each criterion takes, what it leaves as it was, and when."""

import copy
import warnings
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from allinone.data.batch import Batch
from allinone.layers import LogMelSettings
from allinone.quantization import Lsq, PerChannel
from allinone.sparsity import Adam, Blocks, EveryK, FewShot, Magnitude, NOfM, OneShot, Taylor, Unstructured
from allinone.subnet import SandwichSampler, SearchSpace
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from allinone.training import AdamW, Constant, Objective, OnePassModule
from allinone.training.pruning import Prune, take_levels
from tests.laws.examples import DECODER, calibrate, learn, make_batch, make_layout, make_task, perturb

UP = "encoder.layers.0.feed_forward_1.up.weight"  # (24, 16), of which members have the first 12 rows, too
BATCHES = [make_batch(seed=1), make_batch((0.8, 0.7), seed=2)]


def sparse_task(**changes: Any) -> SpeechTask:
    return make_task(**{"bits": (4, 8), "sparsities": (0.5,), "pattern": Unstructured()} | changes)


def weight_of(task: SpeechTask, name: str = UP) -> torch.nn.Parameter:
    parts = dict(task.parts())
    part = next(part for part in parts if name.startswith(f"{part}."))
    return parts[part].module.get_parameter(name.removeprefix(f"{part}."))


def levels_of(task: SpeechTask) -> dict[str, Tensor]:
    """A copy of all levels, under the names of the weights in the plain network."""
    return {
        f"{part}.{name.replace('/', '.')}": level.clone()
        for part, elastic in task.parts()
        for name, level in elastic.levels.named_buffers()
    }


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    assert one.keys() == two.keys()
    return all(torch.equal(level, two[name]) for name, level in one.items())


def test_magnitude_ranks_the_weights_of_each_width_band():
    task = sparse_task()
    alternating = torch.tensor([1.0, -1.0]).repeat(192).view(24, 16)
    with torch.no_grad():
        weight_of(task).copy_(torch.arange(1.0, 385).view(24, 16) * alternating)
    take_levels(task, Magnitude())
    band = torch.arange(192) * 200 // 192  # of 12 rows; its ranks are the order of its entries
    assert torch.equal(levels_of(task)[UP].flatten(), torch.cat([band, band]).to(torch.uint8))


def test_magnitude_ranks_blocks_by_their_sums():
    task = sparse_task(pattern=Blocks(4, 1))
    with torch.no_grad():
        weight = weight_of(task).fill_(0.1)
        weight[0, 5] = 9.0  # makes its block of four rows the best of the first band
    take_levels(task, Magnitude())
    levels = levels_of(task)[UP]
    assert (levels[:4, 5] == 47 * 200 // 48).all()
    assert (levels[:4, 6] == 5 * 200 // 48).all()  # sixth of the others, which are equal: the later ones survive


def test_adam_weighs_magnitudes_by_the_moments_of_the_optimiser():
    task = sparse_task(pattern=NOfM(4))
    weight = weight_of(task)
    with torch.no_grad():
        weight.copy_(torch.arange(1.0, 385).view(24, 16))
    optimizer = AdamW(lr=0.0).build(task)
    for parameter in task.parameters():
        optimizer.state[parameter] = {"exp_avg_sq": torch.ones_like(parameter)}
    take_levels(task, Adam(), optimizer=optimizer)
    assert levels_of(task)[UP].flatten().tolist() == [0, 1, 2, 3] * 96
    optimizer.state[weight] = {"exp_avg_sq": weight.detach() ** -4}  # |w| sqrt(v) = 1 / |w|
    take_levels(task, Adam(), optimizer=optimizer)
    assert levels_of(task)[UP].flatten().tolist() == [3, 2, 1, 0] * 96


def test_adam_takes_the_moments_of_real_updates():
    task = sparse_task()
    optimizer = AdamW(lr=1e-3).build(task)
    with pytest.raises(ValueError, match="requires Adam's second moments; found none"):
        take_levels(task, Adam(), optimizer=optimizer)
    batch = BATCHES[0]
    Objective().losses(learn(task, batch, task.space.largest), batch.labels, batch.label_lengths).sum().backward()
    optimizer.step()
    take_levels(task, Adam(), optimizer=optimizer)
    weight = weight_of(task)
    scores = (weight.abs() * optimizer.state[weight]["exp_avg_sq"].sqrt()).detach()
    assert torch.equal(levels_of(task)[UP], _levels_by_hand(scores))


@pytest.mark.parametrize("parts", [{}, {"attention": DECODER}], ids=["ctc", "hybrid"])
def test_taylor_weighs_magnitudes_by_mean_gradients_of_the_largest_member(parts):
    task, objective = perturb(sparse_task(**parts)), Objective()
    take_levels(task, Taylor(2), batches=iter([*BATCHES, make_batch(seed=3)]), objective=objective)
    weight, magnitudes = weight_of(task), torch.zeros(24, 16)
    for batch in BATCHES:
        task.zero_grad()
        output = learn(task, batch, task.space.largest)
        objective.losses(output, batch.labels, batch.label_lengths).mean().backward()
        assert weight.grad is not None
        magnitudes += weight.grad.abs() / 2
    assert torch.equal(levels_of(task)[UP], _levels_by_hand(weight.detach().abs() * magnitudes))


def _levels_by_hand(scores: Tensor) -> Tensor:
    """Those of a matrix of two bands of 192 weights; of equal ones the later survives."""
    levels = []
    for band in scores.flatten().split(192):
        rising = sorted(range(192), key=band.tolist().__getitem__)
        levels += [rising.index(place) * 200 // 192 for place in range(192)]
    return torch.tensor(levels, dtype=torch.uint8).view_as(scores)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_taylor_leaves_gradients_mode_chance_and_statistics_as_they_were(norm, training):
    task = perturb(sparse_task(convolution_norm=norm, dropout=0.5, attention=DECODER)).train(training)
    calibrate(task, task.space.largest, task.space.smallest)
    for number, parameter in enumerate(task.parameters()):
        parameter.grad = torch.full_like(parameter, number) if number % 2 else None
    before = {
        "gradients": [None if weight.grad is None else weight.grad.clone() for weight in task.parameters()],
        "modes": [module.training for module in task.modules()],
        "chance": torch.get_rng_state(),
        "statistics": copy.deepcopy(task.encoder.statistics),
        "weights": {name: weight.clone() for name, weight in task.named_parameters()},
        "levels": levels_of(task),
    }
    take_levels(task, Taylor(2), batches=BATCHES, objective=Objective())
    for parameter, gradient in zip(task.parameters(), before["gradients"], strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)  # pyright: ignore[reportArgumentType]
    assert [module.training for module in task.modules()] == before["modes"]
    assert torch.equal(torch.get_rng_state(), before["chance"])
    assert task.encoder.statistics.keys() == before["statistics"].keys()
    for member, buffers in before["statistics"].items():
        assert same(task.encoder.statistics[member], buffers)
    assert same(dict(task.named_parameters()), before["weights"])
    assert not same(levels_of(task), before["levels"])


def test_taylor_takes_the_same_levels_in_either_mode():
    """Those of the network that is used, without dropout."""
    found = []
    for training in (True, False):
        task = perturb(sparse_task(dropout=0.5, convolution_norm="batch")).train(training)
        take_levels(task, Taylor(2), batches=BATCHES, objective=Objective())
        found.append(levels_of(task))
    assert same(*found)


def test_taylor_ranks_what_an_objective_leaves_out_by_place_alone():
    """The attention decoder, where the CTC output alone is trained."""
    sizes: dict[str, Any] = {"widths": (12, 24), "bits": (8,), "sparsities": (0.5,), "pattern": Unstructured()}
    task = SpeechTask(
        layout=make_layout(),
        space=SearchSpace((2, 3), **sizes, decoder=SearchSpace((1, 2), **sizes)),
        tokenizer=CharTokenizer(),
        quantizer=Lsq(PerChannel()),
        features=LogMelSettings(),
        attention=DECODER,
    )
    take_levels(task, Taylor(1), batches=BATCHES, objective=Objective(ctc_weight=1.0))
    place = torch.arange(256) * 200 // 256
    levels = levels_of(task)
    assert torch.equal(levels["decoder.layers.0.attention.query.weight"].flatten(), place.to(torch.uint8))
    assert not torch.equal(levels["encoder.layers.0.attention.query.weight"].flatten(), place.to(torch.uint8))


@pytest.mark.parametrize(
    ("criterion", "schedule", "optimizer", "message"),
    [
        (Adam(), OneShot(), AdamW(lr=0.1), r"after the first update.*found OneShot\(\).*Choose levels=few_shot or"),
        (Adam(), EveryK(2), AdamW(lr=0.1, sharded=True), "found optimizer.sharded=true.*Give optimizer.sharded=false"),
        (Magnitude(), EveryK(10), AdamW(lr=0.1), r"training of 10 updates; found EveryK.*first due after 10\. Train"),
        (Taylor(), FewShot(20, 10), AdamW(lr=0.1), r"training of 10 updates; found FewShot.*due after 10\. Train"),
    ],
)
def test_what_a_training_cannot_give_is_refused(criterion, schedule, optimizer, message):
    prune = Prune(criterion, schedule)
    with pytest.raises(ValueError, match=message):
        prune.refuse_misfit(optimizer, max_steps=10)
    with pytest.raises(ValueError, match=message):
        make_module(prune, optimizer, max_steps=10)


@pytest.mark.parametrize(
    ("criterion", "schedule", "optimizer"),
    [
        (Magnitude(), OneShot(), AdamW(lr=0.1, sharded=True)),
        (Taylor(), OneShot(), AdamW(lr=0.1, sharded=True)),
        (Adam(), EveryK(9), AdamW(lr=0.1)),
    ],
)
def test_what_it_can_is_not(criterion, schedule, optimizer):
    Prune(criterion, schedule).refuse_misfit(optimizer, max_steps=10)


class Corpus(lightning.LightningDataModule):
    """The same batches in every training."""

    def __init__(self, batches: list[Batch]) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.batches, batch_size=None)  # pyright: ignore[reportArgumentType]

    def calibration_loader(self) -> list[Batch]:
        return self.batches[:2]


class Watch(lightning.Callback):
    """Keeps the levels that each batch was trained with."""

    def __init__(self) -> None:
        self.levels: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.levels.append(levels_of(pl_module.task))


def make_module(prune: Prune | None, optimizer: AdamW, **settings: Any) -> OnePassModule:
    task = sparse_task()
    parts = {"sampler": SandwichSampler(task.space), "objective": Objective(), "schedule": Constant()}
    return OnePassModule(task=task, optimizer=optimizer, prune=prune, **parts, **settings)


def changes(prune: Prune | None, batches: int, accumulate: int = 1) -> list[int]:
    """The batches before which levels changed."""
    watch, module = Watch(), make_module(prune, AdamW(lr=1e-2), max_steps=batches // accumulate, accumulate=accumulate)
    before = levels_of(module.task)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(does not have many workers|LeafSpec|no `val_dataloader`).*")
        lightning.Trainer(
            accelerator="cpu",
            max_epochs=1,
            limit_val_batches=0,
            callbacks=[watch],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        ).fit(module, Corpus([make_batch((0.5, 0.4), seed=seed) for seed in range(batches)]))
    all_of_it = [before, *watch.levels]
    return [index for index in range(batches) if not same(all_of_it[index], all_of_it[index + 1])]


@pytest.mark.parametrize(
    ("prune", "due"),
    [
        (Prune(Magnitude(), EveryK(2)), [2, 4]),
        (Prune(Adam(), EveryK(2)), [2, 4]),
        (Prune(Taylor(2), EveryK(3)), [3]),
        (Prune(Taylor(1), OneShot()), [0]),
        (Prune(Magnitude(), OneShot()), []),  # they are those of the start
        (Prune(Magnitude(), FewShot(3, 1)), [1, 2, 3]),
        (None, []),
    ],
    ids=str,
)
def test_levels_change_when_they_are_due_and_at_no_other_step(prune, due):
    assert changes(prune, batches=6) == due


def test_levels_are_due_after_updates_not_after_batches():
    assert changes(Prune(Magnitude(), EveryK(1)), batches=6, accumulate=2) == [2, 4]
