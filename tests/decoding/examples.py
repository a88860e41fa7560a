"""What the tests of decoders share: tokenizers, a little n-gram, and outputs in which a text is plain to hear."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from allinone.decoding import Decoder, Heard, Joint, Rescoring
from allinone.models import DecoderLayout, TransformerDecoder
from allinone.text import CharTokenizer, SentencePieceTokenizer, Tokenizer

SENTENCES = ("the cat sat", "a cat sat on the mat", "the mat sat", "all is well on a hill", "a hill is a hill")
TOKENIZERS = {
    "char": CharTokenizer(),
    "pieces": SentencePieceTokenizer.train(SENTENCES * 5, vocab_size=20),
    "no spaces": CharTokenizer("abc"),
}
# log10 probabilities of words, of `b` after `a`, and of the end; backing off costs what stands last
ARPA = """\\data\\
ngram 1=6
ngram 2=2

\\1-grams:
-99\t<s>\t-0.3
-0.5\t</s>
-2.5\t<unk>
-0.4\ta\t-0.2
-0.9\tb\t-0.1
-1.2\tab\t-0.1

\\2-grams:
-0.2\ta b
-0.1\tb </s>

\\end\\
"""


def write_arpa(path: Path, *words: str) -> Path:
    """A bigram in which all words are equally probable."""
    lines = [f"-1.5\t{word}\t0" for word in words]
    head = f"\\data\\\nngram 1={len(lines) + 3}\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t0\n-1\t</s>\n-9\t<unk>\n"
    path.write_text(head + "\n".join(lines) + f"\n\n\\2-grams:\n-1.5\t<s> {words[0]}\n\n\\end\\\n", encoding="utf-8")
    return path


def reader(decoder: Decoder, tokenizer: Tokenizer) -> Callable[[Tensor, Tensor], list[str]]:
    """The best text of each utterance, from the CTC output alone."""
    decode = decoder.build(tokenizer)

    def read(log_probs: Tensor, lengths: Tensor) -> list[str]:
        heard = Heard(log_probs, lengths, torch.empty(*log_probs.shape[:2], 0))
        return [hypotheses[0].text for hypotheses in decode(heard)]

    return read


def spoken(texts: list[str], tokenizer: Tokenizer, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Log probabilities in which each label is certain and lasts one to three frames: with their lengths."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for text in texts:
        path = [0] * int(torch.randint(0, 3, (), generator=generator))
        for label in tokenizer.encode(text):
            blanks = int(torch.randint(0, 3, (), generator=generator)) + (path[-1:] == [label])
            path += [0] * blanks + [label] * int(torch.randint(1, 4, (), generator=generator))
        scores = 15.0 * functional.one_hot(torch.tensor(path), tokenizer.vocab_size)
        rows.append((scores + torch.rand(scores.shape, generator=generator)).log_softmax(-1))
    lengths = torch.tensor([len(row) for row in rows])
    padded = torch.randn(len(rows), int(lengths.max()), tokenizer.vocab_size, generator=generator).log_softmax(-1)
    for row, place in zip(rows, padded, strict=True):
        place[: len(row)] = row
    return padded, lengths


def every_outcome(log_probs: Tensor, tokenizer: Tokenizer) -> dict[str, float]:
    """The log probability of every text, from all paths through ``(time, vocab)`` by the definition of CTC."""
    scores, masses = log_probs.exp().tolist(), Counter[str]()
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        labels = [label for label, _ in itertools.groupby(path)]
        text = " ".join(tokenizer.decode(labels).split())
        masses[text] += math.prod(frame[label] for frame, label in zip(scores, path, strict=True))
    return {text: math.log(mass) for text, mass in masses.items()}


def random_heard(seed: int, lengths: Sequence[int], vocab: int = 4, dim: int = 8, places: int | None = None) -> Heard:
    """What a network with a random attention decoder, sure of itself, makes of noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layout = DecoderLayout(num_layers=2, ffn_dim=24, num_heads=2, dropout=0.0, places=places)
        speller = layout.build(layout.whole, dim, vocab).eval().requires_grad_(False)
        assert speller.output.linear is not None
        speller.output.linear.weight.mul_(4)
        speller.output.linear.bias[0] = -2.0  # or many a text would be empty
        encoded, scores = (torch.randn(len(lengths), max(lengths), size) for size in (dim, vocab))
    return Heard((2 * scores).log_softmax(-1), torch.tensor(lengths), encoded, speller)


@dataclass(frozen=True)
class Spelt:
    """All labels of each hypothesis, ``(batch, hypotheses, labels)``, and what they spell."""

    labels: Tensor
    encoded: Tensor
    lengths: Tensor

    def select(self, parents: Tensor) -> "Spelt":
        rows = torch.arange(len(parents))[:, None]
        return Spelt(self.labels[rows, parents], self.encoded, self.lengths)

    def keep(self, utterances: Tensor) -> "Spelt":
        return Spelt(self.labels[utterances], self.encoded[utterances], self.lengths[utterances])


@dataclass(frozen=True)
class Uncached:
    """A speller that computes everything anew for each label."""

    decoder: TransformerDecoder
    most_labels: int | None = None

    def start(self, encoded: Tensor, lengths: Tensor) -> Spelt:
        return Spelt(torch.zeros(len(lengths), 1, 0, dtype=torch.long), encoded, lengths)

    def step(self, labels: Tensor, spelling: Any) -> tuple[Tensor, Any]:
        spelling = Spelt(torch.cat((spelling.labels, labels[..., None]), -1), spelling.encoded, spelling.lengths)
        said = [
            self.decoder(spelling.encoded, spelling.lengths, hypothesis[:, 1:])[:, -1]
            for hypothesis in spelling.labels.unbind(1)
        ]
        return torch.stack(said, 1), spelling

    def __call__(self, encoded: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        return self.decoder(encoded, lengths, labels)


def scores_by_definition(heard: Heard, utterance: int, labels: Sequence[int]) -> dict[str, float]:
    """The log probability of a text by the CTC output and, all labels at once, by the attention decoder."""
    rows, targets = slice(utterance, utterance + 1), torch.tensor([labels], dtype=torch.long)
    lengths = heard.lengths[rows]
    log_probs = heard.required_log_probs()[rows].double().transpose(0, 1)
    loss = functional.ctc_loss(log_probs, targets, lengths, torch.tensor([len(labels)]), reduction="none")
    scores = {"ctc": -float(loss)}
    if heard.speller is not None:
        said = heard.speller(heard.encoded[rows], lengths, targets)[0].double()
        scores["attention"] = float(sum(said[place, label] for place, label in enumerate((*labels, 0))))
    return scores


def joined_by_definition(scores: Mapping[str, float], size: int, settings: Joint | Rescoring) -> float:
    """The sum that texts of so many labels are ranked by."""
    weights = {"attention": 1 - settings.ctc_weight, "ctc": settings.ctc_weight}
    return sum(weight * scores[name] for name, weight in weights.items() if weight) + settings.length_bonus * size


def every_text(heard: Heard, most: int, settings: Joint | Rescoring) -> list[tuple[float, tuple[int, ...]]]:
    """The sums of all texts of three labels up to a length, the best first: of the only utterance."""
    texts = [text for size in range(most + 1) for text in itertools.product((1, 2, 3), repeat=size)]
    sums = [joined_by_definition(scores_by_definition(heard, 0, text), len(text), settings) for text in texts]
    return sorted(zip(sums, texts, strict=True), reverse=True)


def algorithm_2(log_probs: Tensor, text: Sequence[int]) -> tuple[float, float]:
    """Watanabe et al. 2017, frame by frame: the score of a text as a prefix, and as a whole."""
    scores = log_probs.double().tolist()
    by_label, by_blank = [-math.inf] * (len(scores) + 1), [0.0]
    for row in scores:
        by_blank.append(by_blank[-1] + row[0])
    prefix, last = 0.0, 0
    for label in text:
        ends, blanks, begins = [-math.inf], [-math.inf], []
        for time, row in enumerate(scores):
            reached = _add(by_blank[time], by_label[time] if label != last else -math.inf)
            begins.append(reached + row[label])
            ends.append(_add(ends[-1], reached) + row[label])
            blanks.append(_add(blanks[-1], ends[-2]) + row[0])
        by_label, by_blank, last = ends, blanks, label
        prefix = float(torch.tensor(begins, dtype=torch.float64).logsumexp(0))
    return prefix, _add(by_label[-1], by_blank[-1])


def _add(left: float, right: float) -> float:
    low, high = sorted((left, right))
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
