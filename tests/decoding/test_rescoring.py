"""Laws of attention rescoring: it ranks what the CTC output proposes by the sum that joint decoding ranks by."""

import dataclasses
import itertools
import math

import pytest
import torch

from allinone.decoding import Joint, NoCtc, Rescoring
from allinone.text import CharTokenizer
from tests.decoding.examples import every_text, joined_by_definition, random_heard, scores_by_definition

RESCORING = Rescoring(beam_size=6, ctc_weight=0.3, nbest=3)


@pytest.mark.parametrize(("ctc_weight", "length_bonus"), [(0.0, 0.0), (0.3, 1.5), (0.7, -1.0), (1.0, 0.0)])
def test_a_large_beam_finds_the_best_of_all_texts(ctc_weight, length_bonus):
    settings = Rescoring(beam_size=300, ctc_weight=ctc_weight, length_bonus=length_bonus, max_ratio=0.8, nbest=5)
    for seed in range(3):
        heard = random_heard(seed, [5])
        (found,) = settings.search(heard)
        expected = [one for one in every_text(heard, most=4, settings=settings) if possible(one[1], frames=5)][:5]
        assert [text.labels for text in found] == [text for _, text in expected]
        assert [text.total for text in found] == pytest.approx([score for score, _ in expected], abs=1e-4)


def possible(text: tuple[int, ...], frames: int) -> bool:
    """Whether the CTC output can propose it: there is a blank between two labels that are the same."""
    return len(text) + sum(left == right for left, right in itertools.pairwise(text)) <= frames


def test_the_texts_of_the_ctc_output_are_ranked_by_scores_of_the_definition():
    heard = random_heard(1, [30, 18, 0, 11], vocab=9)
    first = Joint(beam_size=6, ctc_weight=1.0, nbest=6).search(heard)
    changed = 0
    for utterance, (found, proposed) in enumerate(zip(RESCORING.search(heard), first, strict=True)):
        scores = {text.labels: scores_by_definition(heard, utterance, text.labels) for text in proposed}
        sums = {text: joined_by_definition(parts, len(text), RESCORING) for text, parts in scores.items()}
        assert [text.labels for text in found] == sorted(sums, key=lambda text: -sums[text])[:3]
        for text in found:
            assert text.scores.keys() == {"total", "attention", "ctc"}
            expected = {"total": sums[text.labels], **scores[text.labels]}
            assert all(text.scores[name] == pytest.approx(score, abs=1e-3) for name, score in expected.items())
        changed += [text.labels for text in found] != [text.labels for text in proposed[:3]]
    assert changed


def test_an_utterance_does_not_depend_on_its_batch():
    heard = random_heard(2, [9, 30, 1, 0, 17], vocab=9)
    batch = RESCORING.search(heard)
    for row in range(5):
        (alone,) = RESCORING.search(heard.keep(torch.tensor([row])))
        assert [text.labels for text in alone] == [text.labels for text in batch[row]]
        assert [text.total for text in alone] == pytest.approx([text.total for text in batch[row]], abs=1e-4)


def test_texts_are_written_by_the_tokenizer_and_silence_is_empty():
    heard = random_heard(0, [6, 0])
    (found, nothing), tokenizer = RESCORING.search(heard), CharTokenizer("abc")
    hypotheses, empty = RESCORING.build(tokenizer)(heard)
    assert [hypothesis.text for hypothesis in hypotheses] == [tokenizer.decode(text.labels) for text in found]
    assert [hypothesis.scores for hypothesis in hypotheses] == [text.scores for text in found]
    assert nothing == []
    assert [hypothesis.text for hypothesis in empty] == [""]


def test_a_network_without_an_attention_decoder_or_that_has_diverged_is_refused():
    heard = random_heard(0, [6])
    with pytest.raises(ValueError, match="requires a network with an attention decoder; found one without"):
        RESCORING.search(dataclasses.replace(heard, speller=None))
    for part in ("log_probs", "speller"):
        heard = random_heard(0, [6])
        broken = heard.log_probs[0, 2] if part == "log_probs" else heard.speller.output.linear.bias  # pyright: ignore
        broken[1] = math.nan
        with pytest.raises(ValueError, match="found NaN among them"):
            RESCORING.search(heard)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam_size": 0}, "beam_size must be a whole number above 0; found 0"),
        ({"ctc_weight": -0.1}, r"ctc_weight must be a number from 0 to 1 .* found ctc_weight=-0\.1"),
        ({"max_ratio": 2.0}, r"found min_ratio=0\.0 and max_ratio=2\.0"),
        ({"nbest": 7}, r"nbest must be at most beam_size, .*; found nbest=7 and beam_size=6\. Correct one"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RESCORING, **settings)


@pytest.mark.parametrize(
    "decoder",
    [Joint(beam_size=2, ctc_weight=0.3), Joint(beam_size=2, ctc_weight=1.0), Rescoring(beam_size=2, ctc_weight=0.3)],
    ids=["joint", "joint, CTC alone", "rescoring"],
)
def test_decoders_that_hear_a_ctc_output_refuse_a_network_without_one(decoder):
    heard = dataclasses.replace(random_heard(0, [6, 4]), log_probs=None)
    message = r"requires a network with a CTC output; found one without\. Choose decoder=attention_greedy or"
    with pytest.raises(NoCtc, match=message):
        decoder.build(CharTokenizer("abc"))(heard)
