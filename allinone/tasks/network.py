"""The plain network: what an exported member is."""

import torch
from torch import Tensor, nn

from allinone.decoding import Heard
from allinone.layers import Features, FeatureSettings
from allinone.models import DecoderLayout, Encoder, Layout, TransformerDecoder
from allinone.models.rounded_inputs import round_decoder_inputs, round_encoder_inputs
from allinone.quantization import Activations
from allinone.subnet import SubnetConfig
from allinone.text import Tokenizer


class SpeechNetwork(nn.Module):
    """From audio to label probabilities, with ordinary layers only.

    Args:
        features: waveforms to features.
        encoder: features to frames.
        head: frames to labels (CTC); None if there is no such output.
        decoder: spells the frames; None if there is no attention decoder.
    """

    def __init__(
        self, features: Features, encoder: Encoder, head: nn.Linear | None, decoder: TransformerDecoder | None = None
    ) -> None:
        super().__init__()
        self.features, self.encoder, self.head, self.decoder = features, encoder, head, decoder

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Heard:
        """Recognises.

        Args:
            waveforms: ``(batch, samples)`` between -1 and 1 at the features' sample rate.
            lengths: valid samples, ``(batch,)``.
        """
        encoded, lengths = self.encoder(*self.features(waveforms, lengths))
        log_probs = self.head and self.head(encoded).log_softmax(-1, torch.float32)
        return Heard(log_probs, lengths, encoded, self.decoder)


def build_network(
    layout: Layout,
    features: FeatureSettings,
    tokenizer: Tokenizer,
    subnet: SubnetConfig,
    attention: DecoderLayout | None = None,
    ctc: bool = True,
    activations: Activations | None = None,
) -> SpeechNetwork:
    """A plain network of a member's size, its weights, and the scales of its inputs, yet to be loaded."""
    require_output(layout, ctc, attention)
    labels, encoder = tokenizer.vocab_size, layout.build(subnet)
    round_encoder_inputs(encoder, subnet.layers, layout.front_end_bits, activations)
    decoder = None
    if attention is not None:
        layers = subnet.decoder or attention.whole
        decoder = attention.build(layers, layout.dim, labels)
        round_decoder_inputs(decoder, layers, activations)
    return SpeechNetwork(features.build(), encoder, nn.Linear(layout.dim, labels) if ctc else None, decoder)


def require_output(layout: Layout, ctc: bool, attention: DecoderLayout | None) -> None:
    """Raises ValueError if a network would say nothing."""
    if not ctc and attention is None and not layout.own_output:
        raise ValueError(
            "A network requires a CTC output or an attention decoder; found neither. Give ctc=true or attention=..., "
            "such as attention=decoder_small."
        )


def outputs_in_words(ctc: bool, attention: bool) -> str:
    """What a network has that says labels, for messages and cards."""
    return " and ".join(["CTC"] * ctc + ["an attention decoder"] * attention)
