"""Named layouts of published networks with literal sizes; what is left to choose is the dropout, and what stays frozen.

Their front ends are at full precision, the same for all members.
"""

from allinone.models.decoder_layout import DecoderLayout
from allinone.models.front_ends import SpectrogramLayout, WaveformLayout
from allinone.models.transformer import TransformerLayout

_WAVLM_BUCKETS = 320
_WHISPER_PROMPT = (50_257, 50_362)  # <|startoftranscript|> and <|notimestamps|> of the networks of English alone


def wav2vec2_base(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """wav2vec 2.0 base (Baevski et al. 2020): with a CTC output of 32 labels 94.4 M parameters."""
    return TransformerLayout(12, 768, 3072, 12, WaveformLayout(frozen=frozen), "wav2vec2", dropout=dropout)


def wav2vec2_large(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """wav2vec 2.0 large (Baevski et al. 2020), trained on LibriSpeech."""
    return TransformerLayout(24, 1024, 4096, 16, WaveformLayout(frozen=frozen), "wav2vec2", dropout=dropout)


def wav2vec2_large_lv60(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """wav2vec 2.0 large, trained on Libri-Light or on many languages: norms at the beginning of its layers."""
    front_end = WaveformLayout(bias=True, norm="layer", frozen=frozen)
    return TransformerLayout(24, 1024, 4096, 16, front_end, "wav2vec2", norm_first=True, dropout=dropout)


def xls_r_2b(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """XLS-R with two billion parameters (Babu et al. 2021)."""
    front_end = WaveformLayout(bias=True, norm="layer", frozen=frozen)
    return TransformerLayout(48, 1920, 7680, 16, front_end, "wav2vec2", norm_first=True, dropout=dropout)


def hubert_base(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """HuBERT base (Hsu et al. 2021)."""
    return TransformerLayout(12, 768, 3072, 12, WaveformLayout(frozen=frozen), "hubert", dropout=dropout)


def hubert_large(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """HuBERT large (Hsu et al. 2021)."""
    front_end = WaveformLayout(bias=True, norm="layer", frozen=frozen)
    return TransformerLayout(24, 1024, 4096, 16, front_end, "hubert", norm_first=True, dropout=dropout)


def wavlm_base(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """WavLM base (Chen et al. 2022)."""
    front_end = WaveformLayout(frozen=frozen)
    return TransformerLayout(12, 768, 3072, 12, front_end, "wavlm", buckets=_WAVLM_BUCKETS, dropout=dropout)


def wavlm_large(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """WavLM large (Chen et al. 2022)."""
    front_end = WaveformLayout(norm="layer", frozen=frozen)
    return TransformerLayout(
        24, 1024, 4096, 16, front_end, "wavlm", norm_first=True, buckets=_WAVLM_BUCKETS, dropout=dropout
    )


def data2vec_base(dropout: float = 0.1, frozen: bool = True) -> TransformerLayout:
    """data2vec audio base (Baevski et al. 2022)."""
    front_end = WaveformLayout(norm="layer", position_kernel=19, position_layers=5, frozen=frozen)
    return TransformerLayout(12, 768, 3072, 12, front_end, "data2vec-audio", dropout=dropout)


def whisper_tiny(dropout: float = 0.0) -> TransformerLayout:
    """The encoder of Whisper tiny (Radford et al. 2022): 8.2 M parameters."""
    return TransformerLayout(
        4, 384, 1536, 6, SpectrogramLayout(), "whisper", norm_first=True, key_bias=False, dropout=dropout
    )


def whisper_base(dropout: float = 0.0) -> TransformerLayout:
    """The encoder of Whisper base (Radford et al. 2022)."""
    return TransformerLayout(
        6, 512, 2048, 8, SpectrogramLayout(), "whisper", norm_first=True, key_bias=False, dropout=dropout
    )


def whisper_small(dropout: float = 0.0) -> TransformerLayout:
    """The encoder of Whisper small (Radford et al. 2022)."""
    return TransformerLayout(
        12, 768, 3072, 12, SpectrogramLayout(), "whisper", norm_first=True, key_bias=False, dropout=dropout
    )


def whisper_tiny_decoder(dropout: float = 0.0) -> DecoderLayout:
    """The decoder of Whisper tiny for English alone (Radford et al. 2022): 29.6 M parameters."""
    return DecoderLayout(
        4,
        1536,
        6,
        dropout,
        activation="gelu",
        key_bias=False,
        tied=True,
        places=448,
        prompt=_WHISPER_PROMPT,
    )
