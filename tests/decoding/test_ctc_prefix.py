"""Laws of CTC prefix scores: they are the sum over all paths, however long, improbable or padded."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from allinone.decoding.ctc_prefix import Prefixes, PrefixScorer
from tests.decoding.examples import algorithm_2


def random_log_probs(seed: int, *shape: int, spread: float = 2.0) -> Tensor:
    return (spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))).log_softmax(-1)


def every_mass(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """The probability of all label sequences, from all paths through ``(time, vocab)`` by the definition of CTC."""
    scores, masses = log_probs.double().exp().tolist(), {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        labels = tuple(label for label, _ in itertools.groupby(path) if label)
        masses[labels] = masses.get(labels, 0.0) + math.prod(
            row[label] for row, label in zip(scores, path, strict=True)
        )
    return masses


def log(mass: float) -> float:
    return math.log(mass) if mass else -math.inf


def prefixes_of(scorer: PrefixScorer, *texts: tuple[int, ...]) -> Prefixes:
    """Texts of one length, the same for each utterance."""
    batch = len(scorer.lengths)
    parents = torch.zeros(batch, len(texts), dtype=torch.long)
    prefixes = scorer.start()
    for labels in zip(*texts, strict=True):
        prefixes = scorer.extend(prefixes, parents, torch.tensor(labels).expand(batch, -1))
        parents = torch.arange(len(texts)).expand(batch, -1)
    return prefixes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("frames", [1, 2, 5, 6])
def test_scores_are_sums_over_all_paths(seed, frames):
    log_probs = random_log_probs(seed, frames, 4)
    masses = every_mass(log_probs)
    scorer = PrefixScorer(log_probs[None], torch.tensor([frames]))
    for size in range(4):
        texts = list(itertools.product((1, 2, 3), repeat=size)) or [()]
        prefixes = prefixes_of(scorer, *texts) if size else scorer.start()
        for text, scores in zip(texts, scorer.scores(prefixes)[0].tolist(), strict=True):
            assert scores[0] == pytest.approx(log(masses.get(text, 0.0)), abs=1e-6)
            for label in (1, 2, 3):
                begun = (*text, label)
                mass = sum(mass for labels, mass in masses.items() if labels[: len(begun)] == begun)
                assert scores[label] == pytest.approx(log(mass), abs=1e-6)


@pytest.mark.parametrize("spread", [2.0, 30.0])
def test_a_thousand_frames_are_as_exact_as_a_loop_over_them(spread):
    log_probs = random_log_probs(0, 1, 1_000, 6, spread=spread).clamp_min(-250)
    assert log_probs.min() < -10 * spread / 2
    scorer, text = PrefixScorer(log_probs, torch.tensor([1_000])), [3, 1, 1, 5, 2, 2, 2, 4] * 4
    for size in (0, 3, 32):
        scores = scorer.scores(prefixes_of(scorer, tuple(text[:size])) if size else scorer.start())[0, 0]
        assert float(scores[0]) == pytest.approx(algorithm_2(log_probs[0], text[:size])[1], rel=1e-12)
        for label in (1, 4):  # after 32 labels, one that is repeated
            expected, _ = algorithm_2(log_probs[0], [*text[:size], label])
            assert float(scores[label]) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_a_label_that_is_never_heard_costs_what_it_says():
    """A path must go through it, although it is e**200 times less probable than the others."""
    log_probs = torch.full((1, 400, 3), -200.0)
    log_probs[..., 0], log_probs[..., 1] = math.log(0.5), math.log(0.5)
    scorer = PrefixScorer(log_probs, torch.tensor([400]))
    for text in ((2,), (2, 2), (1, 2, 1), (2, 1, 2)):
        prefix, whole = algorithm_2(log_probs[0], [*text])
        *before, last = text
        scores = scorer.scores(prefixes_of(scorer, tuple(before)) if before else scorer.start())
        assert float(scores[0, 0, last]) == pytest.approx(prefix, rel=1e-9)
        assert float(scorer.scores(prefixes_of(scorer, text))[0, 0, 0]) == pytest.approx(whole, rel=1e-9)


def test_the_whole_text_is_as_probable_as_the_loss_of_ctc_says():
    log_probs, lengths = random_log_probs(1, 3, 50, 6).double(), torch.tensor([50, 31, 12])
    text = (1, 2, 2, 5, 3)
    scores = PrefixScorer(log_probs, lengths).scores(prefixes_of(PrefixScorer(log_probs, lengths), text))
    targets = torch.tensor(text).expand(3, -1)
    losses = torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1), targets, lengths, torch.full((3,), len(text)), reduction="none"
    )
    torch.testing.assert_close(scores[:, 0, 0], -losses)


def test_what_follows_a_prefix_adds_up_to_it():
    log_probs = random_log_probs(2, 2, 40, 5)
    scorer = PrefixScorer(log_probs, torch.tensor([40, 33]))
    start = scorer.start()
    torch.testing.assert_close(scorer.scores(start).logsumexp(-1), torch.zeros(2, 1, dtype=torch.float64))
    for text in ((1,), (1, 1), (3, 2, 2)):
        begun = scorer.scores(prefixes_of(scorer, text[:-1]) if text[:-1] else start)[..., text[-1]]
        torch.testing.assert_close(scorer.scores(prefixes_of(scorer, text)).logsumexp(-1), begun)


def test_more_labels_than_frames_are_impossible():
    scorer = PrefixScorer(random_log_probs(0, 1, 3, 4), torch.tensor([3]))
    assert scorer.scores(prefixes_of(scorer, (1, 2, 3)))[0, 0, 1:].eq(-math.inf).all()
    assert scorer.scores(prefixes_of(scorer, (1, 1)))[0, 0].tolist()[1:] == [-math.inf] * 3  # a blank between, too
    assert scorer.scores(prefixes_of(scorer, (1, 1)))[0, 0, 0] > -math.inf
    again = prefixes_of(scorer, (1, 2, 3, 1, 2))
    assert scorer.scores(again).eq(-math.inf).all()


def test_an_utterance_does_not_depend_on_its_batch_or_its_padding():
    log_probs, lengths = random_log_probs(3, 4, 30, 5), torch.tensor([30, 17, 1, 0])
    texts = [(1, 1), (2, 4), (3, 1)]
    joined = PrefixScorer(log_probs, lengths)
    scores = joined.scores(prefixes_of(joined, *texts))
    loud = log_probs.clone()
    for row, length in enumerate(lengths.tolist()):
        loud[row, length:] = 50.0
    other = PrefixScorer(loud, lengths)
    assert torch.equal(other.scores(prefixes_of(other, *texts)), scores)
    for row, length in enumerate(lengths.tolist()):
        alone = PrefixScorer(log_probs[row : row + 1, : max(length, 1)], lengths[row : row + 1])
        expected = alone.scores(prefixes_of(alone, *texts))
        torch.testing.assert_close(scores[row : row + 1], expected, rtol=1e-12, atol=1e-12)


def test_some_utterances_go_on_without_the_others():
    log_probs, lengths = random_log_probs(4, 3, 20, 5), torch.tensor([20, 14, 9])
    scorer, kept = PrefixScorer(log_probs, lengths), torch.tensor([2, 0])
    prefixes = prefixes_of(scorer, (1, 1), (2, 4))
    fewer = scorer.keep(kept)
    torch.testing.assert_close(fewer.scores(prefixes.keep(kept)), scorer.scores(prefixes)[kept])


def test_no_frames_say_nothing_for_certain():
    scorer = PrefixScorer(random_log_probs(0, 1, 2, 4), torch.tensor([0]))
    assert scorer.scores(scorer.start()).tolist() == [[[0.0, -math.inf, -math.inf, -math.inf]]]
