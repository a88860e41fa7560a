"""Tests of the measurement of training steps: that it runs what it says, not how fast."""

from dataclasses import replace

import pytest
import torch

from allinone.layers import LogMelSettings, WaveformSettings
from allinone.models import conformer_tiny, decoder_tiny
from allinone.quantization import Lsq
from allinone.report.memory import peak_memory
from allinone.report.published_step import CASE, has_published_step
from allinone.report.step_bench import StepBench
from allinone.report.step_cases import FULL, IN_BATCH, OWN, PLAIN, QUANTISED, SANDWICH, Kind
from allinone.subnet import SearchSpace
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from allinone.training import Objective
from tests.laws.transformers import LAYOUTS

WITHOUT_CTC = {"attention": decoder_tiny(), "ctc": False, "objective": Objective(ctc_weight=0.0)}


def make_bench(**changes) -> StepBench:
    return StepBench(
        layout=conformer_tiny(),
        space=SearchSpace((2, 3), (32, 64), (4, 8)),
        tokenizer=CharTokenizer(),
        quantizer=Lsq(),
        features=LogMelSettings(),
        **{"attention": None, "seconds": 0.5, "objective": Objective(), **changes},
    )


def test_every_kind_of_step_is_timed_in_every_round_beside_the_plain_one():
    bench = make_bench()
    costs = bench.measure(rounds=1)
    assert [cost.kind for cost in costs] == bench.kinds()
    assert costs[0].kind == Kind(PLAIN)
    assert costs[0].to_dict()["wall_ratio"] == costs[0].to_dict()["process_ratio"] == 1.0
    assert {(cost.kind.weights, cost.kind.front_end) for cost in costs} == {
        (FULL, FULL),
        (QUANTISED, FULL),
        (QUANTISED, OWN),
    }
    assert all(cost.to_dict()["wall_seconds"] > 0 for cost in costs)


@pytest.mark.parametrize(
    "outputs", [{}, {"attention": decoder_tiny()}, WITHOUT_CTC], ids=["ctc", "hybrid", "attention"]
)
def test_the_plain_step_has_the_largest_members_gradients(outputs):
    """At full precision the elastic network computes what the ordinary one does."""
    bench = make_bench(**outputs)
    plain, network = bench.step(Kind(PLAIN))
    elastic, task = bench.step(next(kind for kind in bench.kinds() if kind.case == "3-64-32bit alone"))
    assert isinstance(task, SpeechTask)
    weights = network.state_dict()
    for name, parameter in task.named_parameters():
        if "log_scales" not in name:
            parameter.data.copy_(weights[name.replace(".module.", ".", 1)])
    plain()
    elastic()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    for name, parameter in task.named_parameters():
        if "log_scales" not in name:
            torch.testing.assert_close(parameter.grad, gradients[name.replace(".module.", ".", 1)])


@pytest.mark.parametrize("kind", [Kind(SANDWICH, QUANTISED), Kind(IN_BATCH, QUANTISED, OWN)], ids=str)
def test_quantised_steps_train_scales_and_weights(kind):
    step, task = make_bench().step(kind)
    step()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in task.parameters())


def test_arithmetic_of_sixteen_bits_is_close(recwarn):
    exact, rounded = make_bench(), make_bench(precision="bf16-mixed")
    gradients = []
    for bench in (exact, rounded):
        step, task = bench.step(Kind(SANDWICH, QUANTISED))
        step()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in task.parameters()]))  # pyright: ignore
    assert not gradients[0].equal(gradients[1])
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


def test_the_peak_of_memory_grows_with_the_batch():
    small, large = (peak_memory(make_bench(seconds=seconds), Kind(PLAIN)) for seconds in (0.5, 20.0))
    if small is None or large is None:
        pytest.skip("this system does not tell the peak memory of a process")
    assert 0 < small < large


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "8"}, "precision must be 32-true or bf16-mixed; found '8'. Choose"),
        ({"ctc": False}, "requires a CTC output or an attention decoder; found neither. Give ctc=true"),
        (WITHOUT_CTC | {"objective": Objective()}, "requires ctc_weight=0 and intermediate=0; found ctc_weight=0.2"),
        ({"utterances": 3}, "requires 4 utterances; found 3. Ask"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_bench(**changes)


def test_pretrained_encoders_are_timed_beside_transformers():
    bench = replace(
        make_bench(),
        layout=LAYOUTS["wav2vec2"],
        space=SearchSpace((2, 3), (12, 24), (4, 8)),
        features=WaveformSettings(),
    )
    assert bench.kinds()[-1] == Kind(CASE)
    assert bench.measure(rounds=1)[-1].to_dict()["wall_seconds"] > 0
    step, network = bench.step(Kind(CASE))
    step()
    trained = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert "lm_head.weight" in trained
    assert Kind(CASE) not in replace(bench, **WITHOUT_CTC).kinds()  # there it has a CTC output
    assert not any("feature_extractor" in name for name in trained)


def test_a_network_that_transformers_lacks_is_not_timed_there():
    assert Kind(CASE) not in make_bench().kinds()
    assert not has_published_step(LAYOUTS["whisper"])
