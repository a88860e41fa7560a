"""Attention rescoring: texts that the CTC output proposes, ranked with what the attention decoder says to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from allinone.decoding.decoder import Decode, Heard, Speller, diverged
from allinone.decoding.joint import Joint, hypotheses
from allinone.decoding.search import Found
from allinone.text import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Rescoring:
    """The best of a few texts, ranked as :class:`Joint` ranks all.

    They are the best by the CTC output alone (:class:`Joint` at a weight of 1), and the attention decoder scores them
    whole: cheaper than a joint search, and no better than what they propose.

    Args:
        beam_size: texts that are ranked, and the beam that finds them.
        ctc_weight: how much the CTC output counts in their ranks, from 0 to 1.
        length_bonus: added for every label in their ranks.
        max_ratio: labels of a text at most, as a ratio to the frames.
        nbest: hypotheses that are given, at most ``beam_size``.

    Raises:
        ValueError: if a setting is out of range; on decoding, if the network lacks an attention decoder or a CTC
            output, or has diverged.
    """

    beam_size: int
    ctc_weight: float
    length_bonus: float = 0.0
    max_ratio: float = 1.0
    nbest: int = 1

    def __post_init__(self) -> None:
        Joint(**vars(self))  # checks the settings that both have
        if self.nbest > self.beam_size:
            raise ValueError(
                f"nbest must be at most beam_size, the number of texts that are ranked; found nbest={self.nbest} and "
                f"beam_size={self.beam_size}. Correct one of them."
            )

    def build(self, tokenizer: Tokenizer) -> Decode:
        """The decoder for these labels."""
        return lambda heard: hypotheses(self.search(heard), tokenizer)

    def search(self, heard: Heard) -> list[list[Found]]:
        """For each utterance its best texts as labels; none for one without frames."""
        speller = heard.required_speller()
        first = Joint(beam_size=self.beam_size, ctc_weight=1.0, max_ratio=self.max_ratio, nbest=self.beam_size)
        proposed = first.search(heard, speller.most_labels)
        ranked: list[list[Found]] = [[] for _ in proposed]
        for rank in range(self.beam_size):
            rows = [row for row, texts in enumerate(proposed) if rank < len(texts)]
            if not rows:
                break
            texts = [proposed[row][rank] for row in rows]
            said = attention_scores(speller, heard.keep(torch.tensor(rows)), [text.labels for text in texts])
            if said.isnan().any():
                raise diverged()
            for row, text, attention in zip(rows, texts, said.tolist(), strict=True):
                ranked[row].append(self._scored(text, attention))
        return [sorted(texts, key=lambda text: -text.total)[: self.nbest] for texts in ranked]

    def _scored(self, text: Found, attention: float) -> Found:
        ctc = text.scores["ctc"]
        total = (1 - self.ctc_weight) * attention + self.ctc_weight * ctc + self.length_bonus * len(text.labels)
        return Found(text.labels, {"total": total, "attention": attention, "ctc": ctc})


def attention_scores(speller: Speller, heard: Heard, texts: Sequence[Sequence[int]]) -> Tensor:
    """The log probability of one text of each utterance by the attention decoder, end included: ``(batch,)``."""
    device = heard.lengths.device
    labels = pad_sequence([torch.tensor(text, dtype=torch.long) for text in texts], batch_first=True).to(device)
    ends = torch.tensor([len(text) for text in texts], device=device)
    expected = torch.nn.functional.pad(labels, (0, 1))  # 0, which pads, is the end, too
    said = speller(heard.encoded, heard.lengths, labels).gather(2, expected[..., None])[..., 0].double()
    return said.masked_fill(torch.arange(said.shape[1], device=device) > ends[:, None], 0).sum(1)
