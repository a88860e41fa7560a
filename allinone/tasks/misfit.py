"""Whether a search space fits a network: asked before anything is built or read."""

from allinone.models import DecoderLayout, Layout
from allinone.subnet import SearchSpace


def refuse_misfit(layout: Layout, space: SearchSpace, attention: DecoderLayout | None) -> None:
    """Raises ValueError if a space has members that are larger than the network."""
    _refuse_larger("search space", space, layout, "network")
    if space.decoder is None:
        return
    if attention is None:
        raise ValueError(
            "A search space with decoders requires a network with an attention decoder; found none. Choose one, such "
            "as attention=decoder_small, or leave space.decoder out."
        )
    _refuse_larger("decoder's search space", space.decoder, attention, "decoder")


def _refuse_larger(subject: str, space: SearchSpace, layout: Layout | DecoderLayout, whole: str) -> None:
    if space.depths[-1] > layout.num_layers or space.widths[-1] > layout.ffn_dim:
        raise ValueError(
            f"The {subject} must fit into the {whole} of {layout.num_layers} layers and width {layout.ffn_dim}; "
            f"found depths up to {space.depths[-1]} and widths up to {space.widths[-1]}. Lower them, or take a "
            f"larger {whole}."
        )
    if max(space.heads, default=0) > layout.num_heads:
        raise ValueError(
            f"The {subject} must fit into the {whole} of {layout.num_heads} attention heads; found up to "
            f"{space.heads[-1]}. Lower them, or take a larger {whole}."
        )
