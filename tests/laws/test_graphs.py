"""The law of graphs: compiling a layer over the whole grid stays under a stated number of graphs."""

import copy
import itertools
from typing import Any, cast

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from allinone.layers.dropout import Dropout, as_tensors, on_device
from allinone.layers.elastic import Elastic
from allinone.models import AdaptiveDropout
from allinone.quantization import DynamicActivations, Lsq, PerChannel, PerGroup, StaticActivations
from allinone.sparsity import Blocks, StraightThrough
from allinone.subnet import LayerConfig
from tests.laws.examples import ALL_BITS, PLAIN, calibrate, learn, make_batch, make_task

WIDTHS = (6, 12, 16, 24)
ZEROS: dict[str, Any] = {"pattern": Blocks(2, 1), "sparsities": (0.0, 0.5, 0.8)}


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize(("positions", "norm"), [("relative", "layer"), ("rotary", "layer"), ("rotary", "batch")])
def test_a_layer_compiled_over_the_whole_grid_stays_under_a_graph_for_each_precision_and_a_few(positions, norm):
    """24 configurations, 6 precisions: for each one graph for the first width and one for any other."""
    assert 1 < graphs_of_the_grid(ALL_BITS, (None,), positions=positions, convolution_norm=norm) <= 12


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
def test_groups_of_inputs_cost_no_graph_more():
    counts = [graphs_of_the_grid((4, 8), (None,), quantizer=Lsq(scales)) for scales in (PerChannel(), PerGroup(2))]
    assert counts[0] == counts[1]


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("activations", [DynamicActivations(), StaticActivations()], ids=lambda way: type(way).__name__)
def test_rounded_inputs_cost_no_graph_more(activations):
    counts = [graphs_of_the_grid((4, 8, 32), (None,), activations=way) for way in (None, activations)]
    assert counts[0] == counts[1]


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("positions", ["relative", "rotary"])
def test_with_heads_a_layer_stays_under_six_graphs_for_each_precision_and_three(positions):
    """32 configurations, 2 precisions: for each those of one, some and all heads, times part and all of the width.

    Three are of the first sizes seen, before torch takes them for variable. All eight precisions have less than the 64
    after which it gives up.
    """
    assert 1 < graphs_of_the_grid((4, 8), (1, 2, 3, 4), positions=positions, num_heads=4, head_dim=6) <= 15


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("straight_through", [None, StraightThrough()], ids=str)
def test_sparse_members_have_as_many_graphs_as_dense_ones_whatever_their_sparsity(straight_through):
    """32 configurations, 2 precisions: for dense and for sparse ones two for each precision, and one."""
    kind = ZEROS | {"straight_through": straight_through}
    assert 1 < graphs_of_the_grid((4, 8), (None,), (0.0, 0.5, 0.705, 0.8), **kind) <= 10


def graphs_of_the_grid(
    precisions: tuple[int, ...],
    numbers_of_heads: tuple[int | None, ...],
    zeros: tuple[float, ...] = (0.0,),
    **kind: Any,
) -> int:
    """Graphs of a layer that is compiled for all these and all widths; each computes what the layer does."""
    torch.compiler.reset()
    task = make_task(**kind).eval()
    layer = cast(Elastic, task.encoder.layers[0])
    counter = CompileCounter()
    compiled = torch.compile(layer, backend=counter)
    x, lengths = torch.randn(2, 20, 16), torch.tensor([20, 13])
    context = layer.module.context(x, lengths)  # pyright: ignore[reportCallIssue]
    with torch.no_grad(), torch._dynamo.config.patch(recompile_limit=64):
        for choice in itertools.product(precisions, WIDTHS, numbers_of_heads, zeros):
            bits, width, heads, sparsity = choice
            config = LayerConfig(width, bits, heads, sparsity)
            buffers = {name: torch.rand(16) for name in layer.buffer_names}
            torch.testing.assert_close(
                compiled(config, x, context, buffers=buffers), layer(config, x, context, buffers=buffers)
            )
    torch.compiler.reset()
    return counter.frame_count


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("on_cpu", [True, False], ids=["as on a CPU", "as on other devices"])
def test_factors_of_dropout_add_no_graphs(on_cpu, monkeypatch):
    """As many as with one factor for all; on a CPU each draw ends a graph, elsewhere as many as without dropout."""
    if not on_cpu:
        monkeypatch.setattr(
            Dropout, "forward", lambda self, x, factor: x if self.p == 0 else on_device(x, self.p * factor)
        )
    x, lengths = torch.randn(2, 20, 16), torch.tensor([20, 13])
    configs = [LayerConfig(width, bits) for bits in (4, 8) for width in WIDTHS]

    def graphs(p: float, factors: list[float]) -> int:
        torch.compiler.reset()
        layer = cast(Elastic, make_task(bits=(4, 8), dropout=p).train().encoder.layers[0])
        shared = layer.module.context(x, lengths)  # pyright: ignore[reportCallIssue]
        counter = CompileCounter()
        compiled = torch.compile(layer, backend=counter)
        for config, factor in zip(configs, as_tensors(factors, x.device), strict=True):
            context = shared._replace(dropout=factor)
            torch.manual_seed(0)
            found = compiled(config, x, context)
            torch.manual_seed(0)
            torch.testing.assert_close(found, layer(config, x, context))
        return counter.frame_count

    with torch.no_grad():
        count = graphs(0.4, torch.linspace(1, 0.1, len(configs)).tolist())
        assert count == graphs(0.4, [1.0] * len(configs))
        assert on_cpu or count == graphs(0.0, [1.0] * len(configs))
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # dynamo looks
@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({}, ("2-12-4bit", "3-24-8bit")),
        ({"convolution_norm": "batch"}, ("2-12-4bit", "3-24-8bit")),
        ({"adaptive_dropout": AdaptiveDropout()}, ("2-12-4bit", "3-24-8bit")),
        ({"quantizer": Lsq(PerGroup(2))}, ("2-12-4bit", "3-24-8bit")),
        (ZEROS, ("2-12-4bit-s50", "3-24-8bit", "3-24-8bit-s80")),
        (ZEROS | {"straight_through": StraightThrough()}, ("2-12-4bit-s80", "3-24-8bit-s50")),
    ],
    ids=str,
)
@torch._dynamo.config.patch(recompile_limit=8)
def test_compiled_layers_train_as_the_others_do(parts, names):
    """In place, under the same names, with dropout's draws and all gradients; recomputed ones too."""
    torch.compiler.reset()
    batch, members = make_batch(), names

    def gradients(compiled: bool, recompute: bool) -> list[torch.Tensor]:
        task = make_task(bits=(4, 8), dropout=0.1, **parts).train()
        names = list(task.state_dict())
        torch.manual_seed(1)
        if compiled:
            task.encoder.compile_layers(backend="aot_eager")
        task.encoder.recompute = recompute
        outputs = [learn(task, batch, task.space.parse(name)) for name in members]
        loss = torch.stack([PLAIN.losses(out, batch.labels, batch.label_lengths).sum() for out in outputs]).sum()
        assert list(task.state_dict()) == names
        return list(torch.autograd.grad(loss, list(task.parameters()), allow_unused=True, materialize_grads=True))

    expected = gradients(compiled=False, recompute=False)
    for recompute in (False, True):
        torch.testing.assert_close(gradients(compiled=True, recompute=recompute), expected)
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@torch._dynamo.config.patch(recompile_limit=8)
def test_compiled_layers_are_recalibrated_as_the_others_are():
    """Code that was compiled before runs no hooks."""
    torch.compiler.reset()
    task, batch = make_task(bits=(4, 8), convolution_norm="batch").train(), make_batch()
    expected = copy.deepcopy(calibrate(task, task.space.smallest).encoder.statistics)
    task.encoder.statistics = {}
    task.encoder.compile_layers(backend="eager")
    with torch.no_grad():
        task(batch.waveforms, batch.lengths, task.space.smallest)
        calibrate(task, task.space.smallest)
        assert task.encoder.statistics.keys() == expected.keys()
        for member, buffers in expected.items():
            assert all(torch.equal(task.encoder.statistics[member][name], buffers[name]) for name in buffers)
        compiled = task.eval()(batch.waveforms, batch.lengths, task.space.smallest).log_probs
        with torch.compiler.set_stance("force_eager"):
            eager = task(batch.waveforms, batch.lengths, task.space.smallest).log_probs
    torch.testing.assert_close(compiled, eager)
    torch.compiler.reset()
