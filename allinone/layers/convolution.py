"""The convolution module of the Conformer."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from allinone.layers.dropout import Dropout
from allinone.layers.linear import Linear
from allinone.layers.normalization import MaskedBatchNorm


class ConvolutionModule(nn.Module):
    """Gate, depthwise convolution over time, norm, SiLU, projection (Conformer, Gulati et al. 2020, section 2.2).

    Padding is set to zero before the convolution, as if the utterance stood alone. A layer norm stands where the paper
    has a batch norm, whose statistics differ between the members of a supernet; that one can be had too.

    Args:
        dim: model dimension.
        kernel_size: frames under the convolution; odd.
        dropout: probability, after the output.
        norm: ``layer``, or ``batch`` as in the paper.
    """

    def __init__(self, dim: int, kernel_size: int, dropout: float, norm: Literal["layer", "batch"] = "layer") -> None:
        super().__init__()
        self.expand = Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.norm = MaskedBatchNorm(dim) if norm == "batch" else nn.LayerNorm(dim)
        self.project = Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor, dropout: float | Tensor = 1.0) -> Tensor:
        """``(batch, time, dim)`` and ``(batch, time)``, True at padding, to ``(batch, time, dim)``.

        ``dropout`` is a factor of the probability.
        """
        x = functional.glu(self.expand(x)).masked_fill(padding[..., None], 0)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        x = self.norm(x, padding) if isinstance(self.norm, MaskedBatchNorm) else self.norm(x)
        return self.dropout(self.project(functional.silu(x)), dropout)
