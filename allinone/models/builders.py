"""Named layouts of Conformers, attention decoders and a transducer with literal sizes.

What is left to choose is the precision of the front end (None is the member's own), the dropout, the norm inside the
convolution modules, and the labels of the transducer.
"""

from typing import Literal

from allinone.models.conformer import ConformerLayout
from allinone.models.decoder_layout import DecoderLayout
from allinone.models.emformer import EmformerTransducerLayout


def conformer_switchboard(
    front_end_bits: int | None = None, dropout: float = 0.1, convolution_norm: Literal["layer", "batch"] = "layer"
) -> ConformerLayout:
    """The encoder of All-in-one's Switchboard system (section 3.1): 12 layers, 33.5 M parameters."""
    return ConformerLayout(
        num_layers=12,
        dim=256,
        ffn_dim=2048,
        num_heads=4,
        kernel_size=31,
        subsampling_channels=256,
        separable_subsampling=False,
        positions="relative",
        front_end_bits=front_end_bits,
        dropout=dropout,
        convolution_norm=convolution_norm,
    )


def conformer_small(
    front_end_bits: int | None = 32, dropout: float = 0.1, convolution_norm: Literal["layer", "batch"] = "layer"
) -> ConformerLayout:
    """For a few hours of speech on a laptop: 6 layers, 2.8 M parameters."""
    return ConformerLayout(
        num_layers=6,
        dim=144,
        ffn_dim=512,
        num_heads=4,
        kernel_size=15,
        subsampling_channels=32,
        separable_subsampling=True,
        positions="rotary",
        front_end_bits=front_end_bits,
        dropout=dropout,
        convolution_norm=convolution_norm,
    )


def conformer_tiny(
    front_end_bits: int | None = 32, dropout: float = 0.0, convolution_norm: Literal["layer", "batch"] = "layer"
) -> ConformerLayout:
    """For tests: 3 layers, learns the synthetic corpus in about a minute on a CPU."""
    return ConformerLayout(
        num_layers=3,
        dim=32,
        ffn_dim=64,
        num_heads=2,
        kernel_size=7,
        subsampling_channels=8,
        separable_subsampling=True,
        positions="rotary",
        front_end_bits=front_end_bits,
        dropout=dropout,
        convolution_norm=convolution_norm,
    )


def decoder_switchboard(dropout: float = 0.1) -> DecoderLayout:
    """The attention decoder of All-in-one's Switchboard system (section 3.1): 6 layers."""
    return DecoderLayout(num_layers=6, ffn_dim=2048, num_heads=4, dropout=dropout)


def decoder_small(dropout: float = 0.1) -> DecoderLayout:
    """For a few hours of speech, over :func:`conformer_small`: 2 layers."""
    return DecoderLayout(num_layers=2, ffn_dim=512, num_heads=4, dropout=dropout)


def usm_conformer(
    size: Literal["2b", "1b", "600m", "300m"] = "2b",
    front_end_bits: int | None = None,
    dropout: float = 0.1,
    convolution_norm: Literal["layer", "batch"] = "batch",
) -> ConformerLayout:
    """The encoders of USM-Lite's Tables 1 to 3, in front of a CTC output: 1.82, 0.92, 0.61 and 0.34 B parameters.

    Of the largest, "2B", the paper tells layers, dimension, heads and kernel. It tells nothing else of the smaller ones
    than what their sizes are of that: 50.2, 33.5 and 18.9 %. These are the sizes of half as many layers, and of three
    quarters as many with two thirds, and with half, of the dimension. Their front ends, which are not told either, have
    80 bands and 256 channels, as the Conformer's (Gulati et al. 2020).

    Raises:
        ValueError: if there is no such size.
    """
    if size not in _USM:
        raise ValueError(f"size must be one of {', '.join(_USM)}; found {size!r}. Choose one of these.")
    num_layers, dim, num_heads = _USM[size]
    return ConformerLayout(
        num_layers=num_layers,
        dim=dim,
        ffn_dim=4 * dim,
        num_heads=num_heads,
        kernel_size=5,
        subsampling_channels=256,
        separable_subsampling=False,
        positions="relative",
        front_end_bits=front_end_bits,
        dropout=dropout,
        convolution_norm=convolution_norm,
    )


_USM = {"2b": (32, 1536, 16), "1b": (16, 1536, 16), "600m": (24, 1024, 8), "300m": (24, 768, 8)}  # layers, dim, heads


def decoder_tiny(dropout: float = 0.0) -> DecoderLayout:
    """For tests, over :func:`conformer_tiny`: 2 layers."""
    return DecoderLayout(num_layers=2, ffn_dim=64, num_heads=2, dropout=dropout)


def omni_emformer(num_symbols: int = 4097, front_end_bits: int | None = None) -> EmformerTransducerLayout:
    """The streaming transducer of Omni-sparsity (section 3.1), as far as the paper says: 76.7 M parameters.

    What it leaves open is as in torchaudio's ``emformer_rnnt_base``.
    """
    return EmformerTransducerLayout(
        num_layers=20,
        units=512,
        ffn_dim=2048,
        num_heads=8,
        dim=1024,
        stack=4,
        symbol_dim=512,
        predictor_layers=3,
        num_symbols=num_symbols,
        segment=16,
        right_context=4,
        left_context=30,
        front_end_bits=front_end_bits,
    )
