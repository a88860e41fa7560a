"""What a GPU must do as the processor does. `pytest -m gpu` runs these checks alone."""

import copy
import csv
import math

import pytest
import torch

from allinone.decoding import Greedy, Heard, Joint, Rescoring
from allinone.layers.dropout import Dropout, as_tensors
from allinone.subnet import SubnetConfig
from allinone.tasks.evaluation import evaluate
from allinone.training import Objective
from allinone.training.one_pass import Draw, assign, one_pass, touch_all
from tests.cli.conftest import TRAIN, call, corpus, here  # noqa: F401 - fixtures
from tests.decoding.examples import random_heard
from tests.laws.examples import make_batch, make_task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; none was found"),
]
SMALLEST, SHALLOW = SubnetConfig.parse("2-12-4bit"), SubnetConfig.parse("2-24-8bit")


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Full single precision in convolutions and products."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


def gradients(device, in_batch, autocast=False):
    task, batch = make_task(bits=(4, 8)).train().to(device), make_batch((0.9, 0.8, 0.7, 0.65)).to(device)
    plan = assign(batch, [task.space.largest, SMALLEST, SHALLOW], in_batch, step=0)
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        losses = one_pass(
            task, batch, plan, Objective(), scale=0.25, backward=torch.Tensor.backward, draw=Draw(0, 0, 0)
        )
    touch_all(task.parameters()).backward()
    found = {name: parameter.grad.cpu() for name, parameter in task.named_parameters() if parameter.grad is not None}
    return {name: float(loss) for name, loss in losses.items()}, found


@pytest.mark.parametrize("in_batch", [False, True])
def test_losses_and_gradients_are_those_of_the_processor(in_batch):
    (losses, found), (expected_losses, expected) = gradients("cuda", in_batch), gradients("cpu", in_batch)
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    for name, gradient in expected.items():
        scale = max(float(gradient.abs().max()), 1e-3)
        assert float((found[name] - gradient).abs().max()) < 0.01 * scale, name


def test_bf16_gives_about_the_same_losses_and_directions():
    (losses, found), (expected_losses, expected) = gradients("cuda", False, autocast=True), gradients("cpu", False)
    assert losses == pytest.approx(expected_losses, rel=0.03)
    one, other = (torch.cat([part[name].flatten() for name in expected]) for part in (found, expected))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.9


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_a_factor_of_dropout_is_obeyed_without_waiting_for_the_device(p):
    torch.manual_seed(0)
    x = torch.ones(1000, 1000, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        (factor,) = as_tensors([0.5], x.device)
        dropped = Dropout(p)(x, factor)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert float((dropped == 0).float().mean()) == pytest.approx(0.5 * p, abs=0.005)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.005)


def test_hypotheses_are_those_of_the_processor():
    task, batch = make_task(bits=(4, 8)).eval(), make_batch((0.9, 0.8, 0.7, 0.65))
    members = [task.space.largest, SMALLEST]
    decode = Greedy().build(task.tokenizer)
    on_gpu, _ = evaluate(task, [batch], members, scoring=str, decode=decode, device="cuda")
    on_cpu, _ = evaluate(task.cpu(), [batch], members, scoring=str, decode=decode)
    assert [found.texts for found in on_gpu] == [expected.texts for expected in on_cpu]


@pytest.mark.parametrize("decoder", [Joint, Rescoring])
def test_searches_find_what_they_find_on_the_processor(decoder):
    settings, heard = decoder(beam_size=6, ctc_weight=0.3, nbest=3), random_heard(0, [40, 25, 0, 11], vocab=9)
    speller = copy.deepcopy(heard.speller).cuda()  # pyright: ignore
    there = Heard(heard.required_log_probs().cuda(), heard.lengths.cuda(), heard.encoded.cuda(), speller)
    for found, expected in zip(settings.search(there), settings.search(heard), strict=True):
        assert [text.labels for text in found] == [text.labels for text in expected]
        assert [text.total for text in found] == pytest.approx([text.total for text in expected], abs=1e-3)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_run_is_trained_stopped_resumed_and_evaluated(call, here, corpus, precision):  # noqa: F811 - fixtures
    arguments = [
        *(value for value in TRAIN if "accelerator" not in value and "max_steps" not in value),
        "trainer.accelerator=gpu",
        f"trainer.precision={precision}",
        f"data.corpus.table={corpus}",
        "sampler=in_batch",
        "sampler.num_random=1",
    ]
    assert call(*arguments, "trainer.max_steps=6").code == 0
    (metrics,) = here.rglob("metrics.csv")
    losses = [float(row[key]) for row in csv.DictReader(metrics.open()) for key in row if "loss" in key and row[key]]
    assert losses
    assert all(map(math.isfinite, losses))
    (model,) = here.rglob("model.ckpt")
    said = call("evaluate", f"checkpoint={model}", "split=dev", "device=cuda", "format=json")
    assert said.code == 0
