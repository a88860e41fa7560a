"""Groups of inputs that share a scale fit a whole family, or are refused before anything is built."""

from dataclasses import replace

import pytest

from allinone.models import DecoderLayout
from allinone.quantization import AbsMax, Lsq, PerGroup
from allinone.subnet import SearchSpace
from allinone.tasks.groups import refuse_uneven_groups
from tests.laws.examples import make_layout

LAYOUT = make_layout(front_end_bits=None)  # 16 dimensions, and 76 inputs of the front end's linear map
SPACE = SearchSpace((2,), (12, 24), (4, 32))
DECODER = DecoderLayout(num_layers=2, ffn_dim=24, num_heads=2)


def test_members_groups_must_divide_the_inputs_of_their_layers_alone():
    for size in (2, 4):
        refuse_uneven_groups(LAYOUT, replace(SPACE, scale_groups=(size, None)), None, AbsMax())
    message = (
        r"Groups of 8 inputs must divide the inputs of every matrix of the layers of few bits, in narrow members, too; "
        r"found 12 inputs of encoder.layers.0.feed_forward_1.down.weight. Choose another size \(here all of these do: "
        r"4, 2, 1\), or leave it out of space.scale_groups."
    )
    with pytest.raises(ValueError, match=message):
        refuse_uneven_groups(LAYOUT, replace(SPACE, scale_groups=(4, 8)), None, AbsMax())


def test_so_must_those_of_a_decoder():
    decoder = SearchSpace((1, 2), (20,), (4,), scale_groups=(8,))
    with pytest.raises(ValueError, match=r"found 20 inputs of decoder.layers.0.feed_forward.down.weight."):
        refuse_uneven_groups(LAYOUT, replace(SPACE, decoder=decoder), DECODER, AbsMax())
    refuse_uneven_groups(LAYOUT, replace(SPACE, decoder=replace(decoder, widths=(16,))), DECODER, AbsMax())


@pytest.mark.parametrize("of_decoder", [False, True])
def test_a_quantiser_that_learns_scales_refuses_members_groups(of_decoder):
    part = replace(SPACE, scale_groups=(4,))
    space = replace(SPACE, decoder=part) if of_decoder else part
    message = (
        "require a quantiser that learns no scales; found Lsq. Give quantizer=absmax, or leave space.scale_groups out"
    )
    with pytest.raises(ValueError, match=message):
        refuse_uneven_groups(LAYOUT, space, DECODER, Lsq())


def test_groups_of_the_run_hold_for_what_is_beside_the_layers():
    space = replace(SPACE, widths=(16,), scale_groups=(16,))
    with pytest.raises(
        ValueError, match=r"of every matrix of few bits.*found 76 inputs of encoder.front_end.linear.weight"
    ):
        refuse_uneven_groups(LAYOUT, space, None, AbsMax(PerGroup(8)))
