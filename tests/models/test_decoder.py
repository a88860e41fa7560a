"""The attention decoder equals PyTorch's, its cache changes nothing, and it is as large as its layout says."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from allinone.layers import LabelAttention
from allinone.models import DecoderLayout, TransformerDecoder
from allinone.models.decoder import DecoderLayer, after_prompt
from allinone.models.elastic_decoder import ElasticDecoder
from allinone.quantization import Lsq
from allinone.subnet import LayerConfig

DIM, VOCAB = 16, 9
LAYOUT = DecoderLayout(num_layers=3, ffn_dim=24, num_heads=2, dropout=0.0)


def make_decoder() -> TransformerDecoder:
    torch.manual_seed(0)
    decoder = LAYOUT.build(LAYOUT.whole, DIM, VOCAB).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return decoder


def make_input() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    encoded = torch.randn(2, 7, DIM, generator=generator)
    return encoded, torch.tensor([7, 4]), torch.randint(1, VOCAB, (2, 5), generator=generator)


def pytorchs(layer: DecoderLayer) -> nn.TransformerDecoderLayer:
    """PyTorch's own layer with the same weights."""
    other = nn.TransformerDecoderLayer(DIM, 2, 24, 0.0, functional.silu, batch_first=True, norm_first=True)

    def take(attention: nn.MultiheadAttention, ours: LabelAttention) -> None:
        projections = (ours.query, ours.key, ours.value)
        attention.in_proj_weight.data = torch.cat([projection.weight for projection in projections])
        attention.in_proj_bias.data = torch.cat([projection.bias for projection in projections])
        attention.out_proj.load_state_dict(ours.output.state_dict())

    take(other.self_attn, layer.attention)
    take(other.multihead_attn, layer.cross_attention)
    for theirs, ours in (
        (other.linear1, layer.feed_forward.up),
        (other.linear2, layer.feed_forward.down),
        (other.norm1, layer.attention_norm),
        (other.norm2, layer.cross_attention_norm),
        (other.norm3, layer.feed_forward_norm),
    ):
        theirs.load_state_dict(ours.state_dict())
    return other.eval()


@torch.no_grad()
def test_it_computes_what_pytorchs_decoder_computes():
    decoder, (encoded, lengths, labels) = make_decoder(), make_input()
    x = decoder.embedding(after_prompt(labels, LAYOUT.prompt))
    causal = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    padding = torch.where(torch.arange(7) < lengths[:, None], 0.0, -torch.inf)
    for layer in decoder.layers:
        x = pytorchs(cast(DecoderLayer, layer))(
            x, encoded, tgt_mask=causal, tgt_is_causal=True, memory_key_padding_mask=padding
        )
    torch.testing.assert_close(
        decoder(encoded, lengths, labels), decoder.output(x, decoder.embedding.labels.weight), rtol=1e-5, atol=1e-5
    )


@torch.no_grad()
def test_a_step_with_the_cache_says_what_the_whole_text_says():
    decoder, (encoded, lengths, labels) = make_decoder(), make_input()
    whole = decoder(encoded, lengths, labels)
    state = decoder.start(encoded, lengths)
    for place, newest in enumerate(nn.functional.pad(labels, (1, 0)).T):
        said, state = decoder.step(newest[:, None], state)
        torch.testing.assert_close(said[:, 0], whole[:, place], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_selected_hypotheses_go_on_from_their_parents():
    decoder, (encoded, lengths, _) = make_decoder(), make_input()
    state = decoder.start(encoded, lengths)
    _, state = decoder.step(torch.zeros(2, 1, dtype=torch.long), state)
    _, state = decoder.step(torch.tensor([[1, 2, 3], [4, 5, 6]]), state.select(torch.zeros(2, 3, dtype=torch.long)))
    said, _ = decoder.step(torch.tensor([[7, 8], [7, 8]]), state.select(torch.tensor([[2, 0], [1, 1]])))
    texts = torch.tensor([[[3, 7], [1, 8]], [[5, 7], [5, 8]]])
    for hypothesis in range(2):
        whole = decoder(encoded, lengths, texts[:, hypothesis])
        torch.testing.assert_close(said[:, hypothesis], whole[:, -1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_some_utterances_go_on_without_the_others():
    decoder, (encoded, lengths, _) = make_decoder(), make_input()
    state = decoder.start(encoded, lengths)
    alone = state.keep(torch.tensor([1]))  # before any label
    state = state.select(torch.zeros(2, 2, dtype=torch.long))
    for labels in ([[0, 0], [0, 0]], [[1, 2], [3, 4]]):
        _, state = decoder.step(torch.tensor(labels), state)
    for labels in ([[0]], [[4]]):
        _, alone = decoder.step(torch.tensor(labels), alone)
    said, _ = decoder.step(torch.tensor([[5, 6]]), state.keep(torch.tensor([1])))
    expected, _ = decoder.step(torch.tensor([[6]]), alone)
    torch.testing.assert_close(said[:, 1:], expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_what_is_said_depends_on_nothing_behind_the_end_and_on_no_later_label():
    decoder, (encoded, lengths, labels) = make_decoder(), make_input()
    said = decoder(encoded, lengths, labels)
    other_frames, other_labels = encoded.clone(), labels.clone()
    other_frames[1, 4:] = 100.0
    other_labels[:, 3:] = 8
    assert torch.equal(decoder(other_frames, lengths, labels), said)
    assert torch.equal(decoder(encoded, lengths, other_labels)[:, :4], said[:, :4])


@pytest.mark.parametrize("layers", [LAYOUT.whole, (LayerConfig(24, 8), LayerConfig(12, 4))], ids=["whole", "member"])
def test_the_layout_lists_the_tensors_of_the_decoder(layers):
    state = LAYOUT.build(layers, DIM, VOCAB).state_dict()
    specs = {spec.name.removeprefix("decoder."): spec for spec in LAYOUT.tensors(layers, DIM, VOCAB)}
    assert {name: tuple(weight.shape) for name, weight in state.items()} == {
        name: spec.shape for name, spec in specs.items()
    }
    assert not any(spec.counted for spec in specs.values())
    assert specs["embedding.labels.weight"].bits == specs["output.linear.weight"].bits == layers[0].bits


@torch.no_grad()
def test_a_member_is_a_plain_decoder_of_the_effective_weights():
    torch.manual_seed(0)
    elastic = ElasticDecoder(LAYOUT, DIM, VOCAB, LAYOUT.whole, Lsq(), (4, 8)).eval()
    encoded, lengths, labels = make_input()
    said = []
    for layers in ((LayerConfig(24, 8),) * 3, (LayerConfig(24, 4), LayerConfig(12, 8)), LAYOUT.whole):
        decoder = elastic.member(layers)
        said.append(decoder(encoded, lengths, labels))
        assert torch.equal(said[-1], elastic(encoded, lengths, labels, layers))
        assert len(decoder.layers) == len(layers)
        assert not any(parameter.requires_grad for parameter in decoder.parameters())
    assert not torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])


def test_heads_that_do_not_divide_the_dimension_are_refused():
    with pytest.raises(ValueError, match=r"a multiple of its number of heads; found dim=15 and num_heads=2\. Change"):
        LAYOUT.build(LAYOUT.whole, 15, VOCAB)
