"""The small parts of training: objective, schedules, optimiser, ledger, resuming, checkpoints."""

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from allinone.layers.elastic import Elastic
from allinone.losses import AlphaDivergence, Kl, attention_losses
from allinone.quantization import Lsq
from allinone.subnet import LayerConfig, SandwichSampler, SubnetConfig
from allinone.tasks.output import Output
from allinone.training import (
    AdamW,
    Constant,
    CosineDecay,
    FitSettings,
    InverseSquareRoot,
    LinearDecay,
    Objective,
    OnePassModule,
    Weights,
)
from allinone.training.checkpoints import newest_readable, read_checkpoint, step_checkpoints
from allinone.training.ledger import Ledger
from allinone.training.resume import refuse_changes
from tests.laws.examples import DECODER, make_task

LARGEST = SubnetConfig.parse("12-2048-8bit")


@pytest.mark.parametrize(
    ("member", "weights"),
    [
        ("12-2048-8bit", Weights(1.0, 0.0)),
        ("12-1024-8bit", Weights(1.0, 1.0)),
        ("12-2048-4bit", Weights(1.0, 1.0)),
        ("8-2048-8bit", Weights(0.8, 0.2)),
        ("8-1024-4bit", Weights(0.8, 0.2)),
    ],
)
def test_the_weights_of_losses_are_the_papers(member, weights):
    assert Objective().weights(SubnetConfig.parse(member), LARGEST) == weights


@pytest.mark.parametrize(
    ("member", "weights"),
    [
        ("12-2048-8bit-h4", Weights(1.0, 0.0)),
        ("12-2048-8bit-h2", Weights(1.0, 1.0)),
        ("8-2048-8bit-h2", Weights(0.8, 0.2)),
    ],
)
def test_a_member_with_fewer_heads_weighs_as_one_of_another_width(member, weights):
    largest = SubnetConfig.parse("12-2048-8bit-h4")
    assert Objective().weights(SubnetConfig.parse(member), largest) == weights


@pytest.mark.parametrize(
    ("member", "weights"),
    [
        ("12-2048-8bit_6-1024-8bit", Weights(1.0, 0.0)),
        ("12-2048-8bit_6-512-4bit", Weights(1.0, 1.0)),
        ("12-1024-8bit_3-1024-8bit", Weights(0.8, 0.2)),
        ("8-2048-8bit_6-1024-8bit", Weights(0.8, 0.2)),
        ("12-2048-8bit", Weights(1.0, 1.0)),
    ],
)
def test_a_member_with_a_shallower_decoder_is_shallower_and_without_decoder_part_it_is_not(member, weights):
    largest = SubnetConfig.parse("12-2048-8bit_6-1024-8bit")
    assert Objective().weights(SubnetConfig.parse(member), largest) == weights


def test_a_distance_from_the_teacher_is_its_divergence_and_the_weighted_distance_of_its_frames():
    torch.manual_seed(0)
    lengths = torch.tensor([5, 3])

    def say() -> Output:
        log_probs, spelt = (torch.randn(2, places, 4).log_softmax(-1) for places in (5, 3))
        return Output(log_probs, lengths, torch.randn(2, 5, 6), (), spelt, torch.tensor([3, 2]))

    member, teacher = say(), say()
    for divergence in (Kl(), AlphaDivergence()):
        objective = Objective(ctc_weight=0.3, divergence=divergence, hidden=0.5)
        found = objective.divergences(member, teacher)
        assert member.log_probs is not None
        assert teacher.log_probs is not None
        assert member.spelt is not None
        assert teacher.spelt is not None
        for index, (frames, labels) in enumerate(((5, 3), (3, 2))):
            heard = divergence(member.log_probs, teacher.log_probs)[index, :frames].mean()
            spelt = divergence(member.spelt, teacher.spelt)[index, :labels].mean()
            hidden = (member.encoded - teacher.encoded)[index, :frames].square().mean()
            torch.testing.assert_close(found[index], 0.3 * heard + 0.7 * spelt + 0.5 * hidden)


def test_what_weighs_nothing_is_not_computed():
    torch.manual_seed(0)
    lengths, labels, nothing = torch.tensor([5, 3]), torch.tensor([[1, 2], [3, 0]]), torch.full((2, 5, 4), torch.nan)
    label_lengths, spelt = torch.tensor([2, 1]), torch.randn(2, 3, 4).log_softmax(-1)
    for log_probs in (nothing, None):
        output = Output(log_probs, lengths, torch.randn(2, 5, 6), (), spelt, label_lengths + 1)
        losses = Objective(ctc_weight=0.0).losses(output, labels, label_lengths)
        assert torch.equal(losses, attention_losses(spelt, labels, label_lengths, 0.1))
        assert Objective(ctc_weight=0.0).divergences(output, output).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("objective", "found"),
    [
        (Objective(), r"found ctc_weight=0\.2 and intermediate=0\.0"),
        (Objective(ctc_weight=0, intermediate=0.3), r"found ctc_weight=0 and intermediate=0\.3"),
    ],
)
def test_an_objective_that_asks_for_a_ctc_output_that_is_not_there_is_refused(objective, found):
    objective.refuse_misfit(ctc=True)
    Objective(ctc_weight=0.0).refuse_misfit(ctc=False)
    message = rf"without a CTC output requires ctc_weight=0 and intermediate=0; {found}\. Give .*, or ctc=true\."
    with pytest.raises(ValueError, match=message):
        objective.refuse_misfit(ctc=False)
    task = make_task(attention=DECODER, ctc=False)
    with pytest.raises(ValueError, match=message):
        OnePassModule(
            task=task,
            sampler=SandwichSampler(task.space),
            objective=objective,
            optimizer=AdamW(lr=1e-2),
            schedule=CosineDecay(0.1),
            max_steps=1,
        )


def test_an_impossible_objective_is_refused():
    with pytest.raises(ValueError, match=r"intermediate and hidden of 0 or more; found 0.2, 0.1, 0.0 and -1\. Correct"):
        Objective(hidden=-1)


def test_weights_of_losses_are_not_negative():
    with pytest.raises(ValueError, match=r"must be 0 or more; found Weights\(loss=-1, .*\. Give weights"):
        Weights(loss=-1)


@pytest.mark.parametrize(
    ("schedule", "marks"),
    [
        (LinearDecay(0.1), {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.5, 100: 0.0}),
        (CosineDecay(0.1, floor=0.1), {0: 0.1, 9: 1.0, 10: 1.0, 55: 0.55, 100: 0.1}),
        (CosineDecay(0.0), {0: 1.0, 50: 0.5, 100: 0.0}),
        (InverseSquareRoot(25), {0: 0.04, 24: 1.0, 99: 0.5}),
        (Constant(4), {0: 0.25, 3: 1.0, 100: 1.0}),
        (Constant(), {0: 1.0, 100: 1.0}),
    ],
)
def test_schedules_pass_through_their_marks(schedule, marks):
    assert {step: schedule.factor(step, 100) for step in marks} == pytest.approx(marks)


def test_scales_have_their_own_rate_and_only_matrices_decay():
    module = Elastic(nn.Linear(4, 4), {}, Lsq(), (4, 8))
    optimizer = AdamW(lr=0.5, scale_lr=0.25, weight_decay=0.125).build(module)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name, parameter in module.named_parameters()
        if any(parameter is other for other in group["params"])
    }
    assert found == {"module.weight": (0.5, 0.125), "module.bias": (0.5, 0.0), "log_scales.weight": (0.25, 0.0)}


def test_a_step_leaves_rows_of_scales_that_no_member_used_unchanged_moments_included():
    torch.manual_seed(0)
    module = Elastic(nn.Linear(4, 4), {}, Lsq(), (4, 8))
    optimizer = AdamW(lr=0.1, scale_lr=0.1).build(module)
    scales = module.log_scales["weight"]

    def step(*bits):
        before = [
            scales.detach().clone(),
            *(optimizer.state[scales].get(key, torch.zeros(2, 4, 1)).clone() for key in KEYS),
        ]
        optimizer.zero_grad()
        for width in bits:
            module(LayerConfig(4, width), torch.randn(3, 4)).square().sum().backward()
        optimizer.step()
        after = [scales.detach(), *(optimizer.state[scales][key] for key in KEYS)]
        return [
            [not torch.equal(old[row], new[row]) for old, new in zip(before, after, strict=True)] for row in range(2)
        ]

    moved, kept = [True] * 3, [False] * 3
    assert step(4, 8) == [moved, moved]
    assert step(8) == [kept, moved]  # row 0 has momentum by now
    assert step(4) == [moved, kept]


KEYS = ("exp_avg", "exp_avg_sq")


def test_the_ledger_adds_up_and_counts_in_single_runs(monkeypatch):
    now = iter([0.0, 0.0, 1.0, 1.0, 5.0, 5.0, 7.0, 7.0, 8.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    ledger = Ledger("large")
    ledger.entries = {
        "shared": {"seconds": 1.0, "audio_seconds": 10.0, "passes": 1},
        "large": {"seconds": 4.0, "audio_seconds": 10.0, "passes": 1},
        "small": {"seconds": 2.0, "audio_seconds": 10.0, "passes": 1},
        "optimizer": {"seconds": 1.0, "audio_seconds": 0.0, "passes": 0},
    }
    summary = ledger.summary()
    assert (summary["seconds"], summary["audio_seconds"], summary["single_run_seconds"]) == (8.0, 10.0, 6.0)
    assert summary["single_runs"] == pytest.approx(8 / 6)
    ledger.entries["large"]["audio_seconds"] = 5.0  # in-batch: the largest heard half of the audio
    assert ledger.summary()["single_run_seconds"] == 1 + 1 + 8


def test_the_ledger_times_parts_from_begin_to_begin(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    ledger = Ledger("large")
    for part, audio, until in (("shared", 6.0, 1.0), ("large", 6.0, 4.0), ("shared", 0.0, 5.0)):
        ledger.begin(part, audio)
        now[0] = until
    ledger.end()
    assert ledger.entries == {
        "shared": {"seconds": 2.0, "audio_seconds": 6.0, "passes": 1},
        "large": {"seconds": 3.0, "audio_seconds": 6.0, "passes": 1},
    }


def test_changed_settings_are_refused_with_both_values():
    before = {"seed": 0, "optimizer": {"lr": 0.1}, "data": {"num_workers": 1}, "resume": False, "gone": 1}
    now = {"seed": 1, "optimizer": {"lr": 0.2}, "data": {"num_workers": 2}, "resume": True, "new": 2}
    with pytest.raises(ValueError, match="Resuming requires the settings that the run began with; found") as error:
        refuse_changes(before, now)
    for part in ("seed: 0 before, 1 now", "optimizer.lr: 0.1 before, 0.2 now", "gone: 1 before, not set now"):
        assert part in str(error.value)
    assert "new: not set before, 2 now" in str(error.value)
    assert "num_workers" not in str(error.value)
    refuse_changes(before, before | {"data": {"num_workers": 8}, "resume": True})


def test_a_missing_torn_or_foreign_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="A checkpoint file is required; found none at"):
        read_checkpoint(tmp_path / "none.ckpt")
    (tmp_path / "torn.ckpt").write_bytes(b"PK\3\4 half a file")
    with pytest.raises(ValueError, match=r"cannot be read .* Use another checkpoint of the run"):
        read_checkpoint(tmp_path / "torn.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match="which was written by something else"):
        read_checkpoint(tmp_path / "foreign.ckpt")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    torch.save({"allinone": FitSettings(max_steps=1)}, tmp_path / "code.ckpt")
    with pytest.raises(ValueError, match="holds only tensors and plain values"):
        read_checkpoint(tmp_path / "code.ckpt")


def test_the_newest_readable_checkpoint_is_found_and_torn_ones_are_named(tmp_path, caplog):
    for step in (5, 10):
        torch.save({"allinone": {}, "step": step}, tmp_path / f"step-{step:09d}.ckpt")
    torn = tmp_path / "step-000000100.ckpt"
    torn.write_bytes(b"torn")
    assert step_checkpoints(tmp_path)[0] == torn
    path, checkpoint = newest_readable(tmp_path)
    assert (path.name, checkpoint["step"]) == ("step-000000010.ckpt", 10)
    assert str(torn) in caplog.text
    for path in step_checkpoints(tmp_path):
        path.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"found 3 in .*, none of which can be read. Start the run anew"):
        newest_readable(tmp_path)


def test_settings_of_a_fit_are_checked():
    with pytest.raises(ValueError, match=r"must be at least 1; found 10, 0, 500, 250. Give positive numbers."):
        FitSettings(max_steps=10, accumulate=0)
    with pytest.raises(ValueError, match=r"validate_utterances must be at least 1; found 0. Leave it out to score on"):
        FitSettings(max_steps=10, validate_utterances=0)


@pytest.mark.parametrize(
    ("devices", "processes"), [(1, 2), (4, 8), ("4", 8), ([0, 3], 4), ("0,3", 4), ("auto", 2), (-1, 2)], ids=str
)
def test_processes_are_counted_on_all_machines(devices, processes):
    settings = FitSettings(max_steps=1, accelerator="cpu", devices=devices, num_nodes=2)
    assert settings.processes == processes
    assert isinstance(settings.build_strategy(), DDPStrategy)
    assert FitSettings(max_steps=1, devices=devices, strategy="ddp_spawn").build_strategy() == "ddp_spawn"
    assert FitSettings(max_steps=1).build_strategy() == "auto"
