"""Laws of joint decoding: it finds what the definition of its score says, and reports that score."""

import dataclasses
import math

import pytest
import torch

from allinone.decoding import Heard, Joint
from allinone.text import CharTokenizer
from tests.decoding.examples import (
    SENTENCES,
    Uncached,
    algorithm_2,
    every_outcome,
    every_text,
    joined_by_definition,
    random_heard,
    scores_by_definition,
    spoken,
)

WEIGHTS = [(0.0, 0.0), (0.3, 0.0), (0.3, 1.5), (0.7, -1.0), (1.0, 0.0), (1.0, 2.0)]  # of CTC, and the bonus
JOINT = Joint(beam_size=4, ctc_weight=0.3)
SMALL = CharTokenizer("abc")


def plain_search(heard: Heard, settings: Joint) -> tuple[float, tuple[int, ...]]:
    """The same search for one utterance, by definition: nothing is cached, nothing ends it before the limit."""
    most = max(1, int(heard.lengths[0] * settings.max_ratio))
    active, ended = [()], []
    for size in range(most + 1):
        grown: list[tuple[float, tuple[int, ...], bool]] = []
        for text in active:
            said = spelt(heard, text)
            for label in range(heard.required_log_probs().shape[-1] if size < most else 1):
                longer = (*text, label) if label else text
                prefix, whole = algorithm_2(heard.required_log_probs()[0], longer)
                scores = {"attention": said[label], "ctc": prefix if label else whole}
                grown.append((joined_by_definition(scores, len(longer), settings), longer, not label))
        best = [one for one in sorted(grown, reverse=True)[: settings.beam_size] if one[0] > -math.inf]
        ended += [(score, text) for score, text, end in best if end]
        active = [text for _, text, end in best if not end]
    return max(ended)


def spelt(heard: Heard, text: tuple[int, ...]) -> list[float]:
    """What the attention decoder says to a text that each label, or the end, follows."""
    assert heard.speller is not None
    said = heard.speller(heard.encoded, heard.lengths, torch.tensor([text], dtype=torch.long))[0].double()
    return (said[-1] + sum(said[place, label] for place, label in enumerate(text))).tolist()


@pytest.mark.parametrize(("ctc_weight", "length_bonus"), WEIGHTS)
def test_a_large_beam_finds_the_best_of_all_texts(ctc_weight, length_bonus):
    settings = Joint(beam_size=200, ctc_weight=ctc_weight, length_bonus=length_bonus, max_ratio=0.8, nbest=5)
    said = set()
    for seed in range(4):
        heard = random_heard(seed, [5])
        (found,) = settings.search(heard)
        expected = every_text(heard, most=4, settings=settings)[:5]
        assert [text.labels for text in found] == [text for _, text in expected]
        assert [text.total for text in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
        said.add(found[0].labels)
    assert len(said) > 1


@pytest.mark.parametrize(("ctc_weight", "length_bonus"), WEIGHTS)
@pytest.mark.parametrize("beam_size", [1, 3])
def test_ending_early_loses_nothing(ctc_weight, length_bonus, beam_size):
    settings = Joint(beam_size=beam_size, ctc_weight=ctc_weight, length_bonus=length_bonus)
    for seed in range(4):
        heard = random_heard(seed, [7])
        score, text = plain_search(heard, settings)
        ((found,),) = settings.search(heard)
        assert (found.labels, found.total) == (text, pytest.approx(score, abs=1e-4))


def test_most_rounds_are_spared(monkeypatch):
    """Guards the test above: ends are found long before the limit."""
    heard, rounds = random_heard(0, [200]), []
    assert heard.speller is not None
    step = heard.speller.step
    monkeypatch.setattr(heard.speller, "step", lambda *arguments: rounds.append(1) or step(*arguments))
    ((found,),) = dataclasses.replace(JOINT, ctc_weight=0.0).search(heard)
    assert len(found.labels) < len(rounds) < 100


@pytest.mark.parametrize(("ctc_weight", "length_bonus"), WEIGHTS)
def test_reported_scores_are_those_of_the_definition(ctc_weight, length_bonus):
    settings = Joint(beam_size=6, ctc_weight=ctc_weight, length_bonus=length_bonus, nbest=4)
    heard = random_heard(1, [30, 18, 11], vocab=9)
    for utterance, found in enumerate(settings.search(heard)):
        assert len(found) == 4
        assert sorted(found, key=lambda text: -text.total) == found
        assert len({text.labels for text in found}) == 4
        for text in found:
            scores = scores_by_definition(heard, utterance, text.labels)
            assert text.total == pytest.approx(joined_by_definition(scores, len(text.labels), settings), abs=1e-3)
            counted = {name for name, weight in (("attention", 1 - ctc_weight), ("ctc", ctc_weight)) if weight}
            assert text.scores.keys() == {"total", *counted}
            assert all(text.scores[name] == pytest.approx(scores[name], abs=1e-3) for name in counted)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.4, 1.0])
def test_an_utterance_does_not_depend_on_its_batch(ctc_weight):
    settings = dataclasses.replace(JOINT, ctc_weight=ctc_weight, nbest=3)
    heard = random_heard(2, [9, 30, 1, 0, 17], vocab=9)
    batch = settings.search(heard)
    assert batch[3] == []
    for row, length in enumerate(heard.lengths.tolist()):
        one = slice(row, row + 1)
        rows = Heard(
            heard.required_log_probs()[one, :length], heard.lengths[one], heard.encoded[one, :length], heard.speller
        )
        (alone,) = settings.search(rows)
        assert [text.labels for text in alone] == [text.labels for text in batch[row]]
        assert [text.total for text in alone] == pytest.approx([text.total for text in batch[row]], abs=1e-4)
    assert settings.search(heard) == batch  # the same again: nothing is remembered, nothing left to chance


def test_the_cache_of_the_decoder_changes_nothing():
    heard = random_heard(3, [20, 12, 5], vocab=9)
    uncached = dataclasses.replace(heard, speller=Uncached(heard.speller))  # pyright: ignore[reportArgumentType]
    settings = dataclasses.replace(JOINT, nbest=3)
    for found, expected in zip(settings.search(heard), settings.search(uncached), strict=True):
        assert [text.labels for text in found] == [text.labels for text in expected]
        assert [text.total for text in found] == pytest.approx([text.total for text in expected], abs=1e-4)


def test_a_beam_of_one_without_ctc_is_greedy():
    lengths = set()
    for seed in range(5):
        heard = random_heard(seed, [40])
        text: tuple[int, ...] = ()
        while len(text) < 40 and (label := max(range(4), key=spelt(heard, text).__getitem__)):
            text = (*text, label)
        ((found,),) = Joint(beam_size=1, ctc_weight=0.0).search(heard)
        assert found.labels == text
        lengths.add(len(text))
    assert len(lengths) > 1


@pytest.mark.parametrize("seed", range(5))
def test_ctc_alone_finds_the_most_probable_text_and_needs_no_attention_decoder(seed):
    heard = dataclasses.replace(random_heard(seed, [6]), speller=None)
    decode = Joint(beam_size=300, ctc_weight=1.0, nbest=2).build(SMALL)
    masses = every_outcome(heard.required_log_probs()[0], SMALL)
    best = sorted(masses, key=lambda text: -masses[text])[:2]
    ((first, second),) = decode(heard)
    assert [first.text, second.text] == best
    assert first.scores["total"] == first.scores["ctc"] == pytest.approx(masses[best[0]], abs=1e-6)


def test_what_is_said_plainly_is_heard():
    tokenizer = CharTokenizer()
    log_probs, lengths = spoken([*SENTENCES], tokenizer)
    decode = Joint(beam_size=4, ctc_weight=1.0).build(tokenizer)
    heard = decode(Heard(log_probs, lengths, torch.empty(*log_probs.shape[:2], 0)))
    assert [hypotheses[0].text for hypotheses in heard] == [*SENTENCES]


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("bonus", "size"), [(50.0, 12), (-50.0, 4)])
def test_texts_are_as_long_as_the_limits_say(ctc_weight, bonus, size):
    settings = Joint(beam_size=4, ctc_weight=ctc_weight, length_bonus=bonus, min_ratio=0.2, max_ratio=0.6, nbest=3)
    heard = random_heard(0, [20, 3])
    for length, found in zip((20, 3), settings.search(heard), strict=True):
        assert found
        assert all(int(0.2 * length) <= len(text.labels) <= int(0.6 * length) for text in found)
    assert len(settings.search(heard)[0][0].labels) == size


def test_a_decoder_that_never_ends_is_stopped_at_the_limit():
    heard = random_heard(0, [15])
    assert heard.speller is not None
    heard.speller.output.linear.bias[0] = -1e4  # pyright: ignore
    ((found,),) = Joint(beam_size=1, ctc_weight=0.0).search(heard)
    assert len(found.labels) == 15


def test_where_no_text_is_possible_nothing_is_heard():
    """One label three times takes five frames."""
    heard = dataclasses.replace(random_heard(0, [3], vocab=2), speller=None)
    settings = Joint(beam_size=4, ctc_weight=1.0, min_ratio=1.0)
    assert settings.search(heard) == [[]]
    ((hypothesis,),) = settings.build(CharTokenizer("a"))(heard)
    assert (hypothesis.text, hypothesis.scores) == ("", {})


@pytest.mark.parametrize("lengths", [[0], [0, 0]])
def test_without_frames_the_text_is_empty(lengths):
    heard = random_heard(0, [3] * len(lengths))
    found = JOINT.build(SMALL)(dataclasses.replace(heard, lengths=torch.tensor(lengths)))
    assert [[hypothesis.text for hypothesis in hypotheses] for hypotheses in found] == [[""]] * len(lengths)


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
def test_outputs_of_a_network_that_has_diverged_are_refused(ctc_weight):
    settings, heard = dataclasses.replace(JOINT, ctc_weight=ctc_weight), random_heard(0, [6, 4])
    message = r"requires log probabilities; found NaN among them\. .* take an earlier"
    heard.required_log_probs()[1, 5] = math.nan  # padding
    assert settings.search(heard)[1]
    heard.required_log_probs()[1, 3, 2] = math.nan
    with pytest.raises(ValueError, match=message):
        settings.search(heard)


def test_a_decoder_that_has_diverged_is_refused():
    heard = random_heard(0, [6])
    assert heard.speller is not None
    heard.speller.output.linear.bias[2] = math.nan  # pyright: ignore
    with pytest.raises(ValueError, match="found NaN among them"):
        JOINT.search(heard)


def test_a_network_without_an_attention_decoder_is_refused():
    heard = dataclasses.replace(random_heard(0, [6]), speller=None)
    with pytest.raises(
        ValueError,
        match=r"requires a network with an attention decoder; found one without\. .*attention=decoder_small, or",
    ):
        JOINT.build(SMALL)(heard)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam_size": 0}, r"beam_size must be a whole number above 0; found 0\. Correct it"),
        ({"beam_size": 1.5}, r"beam_size must be a whole number above 0; found 1\.5\."),
        ({"nbest": 0}, "nbest must be a whole number above 0; found 0"),
        (
            {"ctc_weight": 1.1},
            r"a number from 0 to 1 and .* found ctc_weight=1\.1 and length_bonus=0\.0\. Correct them",
        ),
        ({"length_bonus": math.inf}, r"found ctc_weight=0\.3 and length_bonus=inf"),
        (
            {"max_ratio": 0},
            r"0 <= min_ratio <= max_ratio <= 1, and max_ratio above 0; found min_ratio=0\.0 and max_ratio=0\.",
        ),
        ({"max_ratio": 1.1}, r"found min_ratio=0\.0 and max_ratio=1\.1"),
        ({"max_ratio": 0.2, "min_ratio": 0.3}, r"found min_ratio=0\.3 and max_ratio=0\.2"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(JOINT, **settings)
