"""What the tests of decoders share: tokenizers, a little n-gram, and outputs in which a text is plain to hear."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from allinone.decoding import Decoder, Heard
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
        scores = 15.0 * torch.nn.functional.one_hot(torch.tensor(path), tokenizer.vocab_size)
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
