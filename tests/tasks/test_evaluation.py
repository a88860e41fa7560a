"""Tests of the evaluation of several members."""

import torch

from allinone.data.batch import collate
from allinone.decoding import Greedy, Hypothesis
from allinone.layers import LogMelSettings
from allinone.models import conformer_tiny
from allinone.quantization import Lsq, PerChannel
from allinone.scoring import word_errors
from allinone.subnet import SearchSpace
from allinone.tasks.evaluation import evaluate
from allinone.tasks.speech import SpeechTask
from allinone.text import CharTokenizer, Normalizer


def make_task() -> SpeechTask:
    torch.manual_seed(0)
    return SpeechTask(
        layout=conformer_tiny(),
        space=SearchSpace((2, 3), (32, 64), (4, 8)),
        tokenizer=CharTokenizer("ab "),
        quantizer=Lsq(PerChannel()),
        features=LogMelSettings(),
    )


def make_batches():
    generator = torch.Generator().manual_seed(0)
    for number in range(2):
        waveforms = [0.1 * torch.randn(size, generator=generator) for size in (16_000, 12_000)]
        names = (f"{number}-long", f"{number}-short")
        yield collate(waveforms, [[1], [2]], [0, 0], names, ("a b", "b"))


def test_what_members_share_is_computed_once_for_a_batch(monkeypatch):
    task, calls = make_task(), []
    shared = task.shared
    monkeypatch.setattr(task, "shared", lambda *arguments: calls.append(1) or shared(*arguments))
    evaluate(
        task, make_batches(), list(task.space.uniform_members()), decode=Greedy().build(task.tokenizer), scoring=str
    )
    assert len(calls) == 2


def test_each_member_is_scored_on_what_it_heard_alone():
    task = make_task()
    members = [task.space.smallest, task.space.largest]
    decode = Greedy().build(task.tokenizer)
    together, references = evaluate(task.train(), make_batches(), members, decode=decode, scoring=str)
    assert not task.training
    assert references == {"0-long": "a b", "0-short": "b", "1-long": "a b", "1-short": "b"}
    for member, evaluation in zip(members, together, strict=True):
        (alone,), _ = evaluate(task, make_batches(), [member], decode=decode, scoring=str)
        assert alone == evaluation
        assert evaluation.member == member
        assert evaluation.words.words == 6
        errors = sum(word_errors(references[name], text).errors for name, text in evaluation.texts.items())
        assert evaluation.words.errors == errors


def test_every_member_is_decoded_as_is_asked():
    task = make_task()
    same = [[Hypothesis("a b", {"total": -2.0}), Hypothesis("a", {"total": -3.0})]] * 2
    evaluations, _ = evaluate(task, make_batches(), [task.space.largest], decode=lambda heard: same, scoring=str)
    assert set(evaluations[0].texts.values()) == {"a b"}
    assert evaluations[0].scores == {name: {"total": -2.0} for name in evaluations[0].texts}
    assert (evaluations[0].words.errors, evaluations[0].words.words) == (2, 6)


def test_both_texts_are_made_alike_before_they_are_compared():
    task = make_task()
    heard = [[Hypothesis("A, b!", {})], [Hypothesis("B.", {})]]
    settings = {"decode": lambda _: heard, "scoring": Normalizer()}
    (evaluation,), references = evaluate(task, make_batches(), [task.space.largest], **settings)
    assert evaluation.words.errors == evaluation.characters.errors == 0
    assert evaluation.texts == references
    assert references["0-long"] == "a b"
