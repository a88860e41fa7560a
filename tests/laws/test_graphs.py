"""The law of graphs: compiling a layer over the whole grid of widths and bits stays under a stated number of graphs."""

from typing import cast

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from allinone.layers.elastic import Elastic
from allinone.subnet import LayerConfig
from tests.laws.examples import ALL_BITS, make_task

WIDTHS = (6, 12, 16, 24)


@pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("positions", ["relative", "rotary"])
def test_a_layer_compiled_over_the_whole_grid_stays_under_a_graph_for_each_precision_and_a_few(positions):
    """24 configurations, 6 precisions: for each one graph for the first width and one for any other."""
    torch.compiler.reset()
    task = make_task(positions=positions).eval()
    layer = cast(Elastic, task.encoder.layers[0])
    counter = CompileCounter()
    compiled = torch.compile(layer, backend=counter)
    x, lengths = torch.randn(2, 20, 16), torch.tensor([20, 13])
    context = layer.module.context(x, lengths)  # pyright: ignore[reportCallIssue]
    with torch.no_grad(), torch._dynamo.config.patch(recompile_limit=64):
        for bits in ALL_BITS:
            for width in WIDTHS:
                config = LayerConfig(width, bits)
                torch.testing.assert_close(compiled(config, x, context), layer(config, x, context))
    torch.compiler.reset()
    assert 1 < counter.frame_count <= 12
