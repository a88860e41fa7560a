"""A pattern of zeros fits every matrix of a family, or is refused before anything is built."""

from dataclasses import replace

import pytest

from allinone.layers import LogMelSettings
from allinone.models import DecoderLayout
from allinone.quantization import Lsq
from allinone.sparsity import Blocks, NOfM, Pattern, Unstructured
from allinone.subnet import SearchSpace
from allinone.tasks.patterns import refuse_uneven_patterns
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer
from tests.laws.examples import make_layout

LAYOUT = make_layout(num_heads=4, head_dim=6)  # 16 channels, up to 24 units
DECODER = DecoderLayout(num_layers=2, ffn_dim=20, num_heads=2)


def sparse(pattern: Pattern, **changes: object) -> SearchSpace:
    space = SearchSpace((3,), (12, 24), (8,), sparsities=(0.5,), pattern=pattern)
    return replace(space, **changes)


@pytest.mark.parametrize(
    "pattern", [Unstructured(), Blocks(4, 1), Blocks(1, 4), Blocks(4, 2), NOfM(2), NOfM(4)], ids=str
)
def test_a_pattern_that_divides_every_matrix_is_taken(pattern):
    refuse_uneven_patterns(LAYOUT, sparse(pattern), None)


@pytest.mark.parametrize(
    ("pattern", "changes", "found"),
    [
        (
            Blocks(8, 1),
            {},
            r"8x1 blocks do not divide 12 outputs and 16 inputs of encoder\.layers\.0\.feed_forward_1\.up",
        ),
        (NOfM(8), {}, r"groups of 8 inputs do not divide 16 outputs and 12 inputs of .*feed_forward_1\.down"),
        (
            Blocks(8, 1),
            {"widths": (8, 24), "heads": (2, 4)},
            r"8x1 blocks do not divide 12 outputs and 16 inputs of .*query",
        ),
        (
            NOfM(16),
            {"widths": (16,), "heads": (4,)},
            r"groups of 16 inputs do not divide 16 outputs and 24 inputs of .*\.output",
        ),
    ],
    ids=str,
)
def test_one_that_does_not_is_refused_with_the_matrix_and_what_fits(pattern, changes, found):
    fits = (
        r"groups of (8 or )?4 or 2 fit" if pattern.group else r"blocks of .*4 or 2 or 1 rows and .*2 or 1 columns fit"
    )
    message = (
        rf"must fit every matrix of the layers, .*; found that {found}\.weight\. Choose another \(here {fits}\), or"
    )
    with pytest.raises(ValueError, match=message):
        refuse_uneven_patterns(LAYOUT, sparse(pattern, **changes), None)


def test_no_groups_fit_a_matrix_of_an_odd_number_of_inputs():
    with pytest.raises(ValueError, match=r"found that groups of 2 inputs .*\(here no groups fit\), or other widths"):
        refuse_uneven_patterns(LAYOUT, sparse(NOfM(2), widths=(13, 24)), None)


def test_a_decoder_that_has_zeros_is_asked_too():
    dense, above = SearchSpace((3,), (12, 24), (8,)), sparse(Blocks(8, 1), depths=(2,), widths=(10, 20))
    message = r"8x1 blocks do not divide 20 outputs and 16 inputs of decoder\.layers\.0\.feed_forward\.up\.weight\."
    with pytest.raises(ValueError, match=message):
        refuse_uneven_patterns(LAYOUT, replace(dense, decoder=above), DECODER)
    refuse_uneven_patterns(LAYOUT, replace(dense, decoder=replace(above, pattern=Blocks(2, 1))), DECODER)
    refuse_uneven_patterns(LAYOUT, sparse(Blocks(4, 1), decoder=SearchSpace((2,), (10,))), DECODER)  # that is dense


def test_a_family_without_zeros_is_not_asked():
    refuse_uneven_patterns(LAYOUT, SearchSpace((3,), (13,), (8,)), None)


def test_a_supernet_refuses_a_pattern_that_does_not_fit():
    with pytest.raises(ValueError, match="A pattern of zeros must fit every matrix of the layers"):
        SpeechTask(
            layout=LAYOUT,
            space=sparse(Blocks(8, 1)),
            tokenizer=CharTokenizer(),
            quantizer=Lsq(),
            features=LogMelSettings(),
        )
