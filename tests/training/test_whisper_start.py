"""A supernet that starts from a whole Whisper, and sorts by what its encoder and decoder do to speech."""

import pytest
import torch

from allinone.layers import WhisperLogMelSettings
from allinone.models.activation_scores import activations
from allinone.models.huggingface import read_pretrained
from allinone.models.importance import head_norms, unit_norms
from allinone.quantization import Lsq
from allinone.subnet import SearchSpace
from allinone.tasks.speech import SpeechTask
from allinone.training.pretrained import take_over_pretrained
from tests.laws.examples import make_batch
from tests.published import save_whole_whisper


@pytest.mark.parametrize("narrow", ["encoder", "decoder"])
def test_what_has_narrower_members_is_sorted_by_what_it_does_to_speech_and_computes_the_same(tmp_path, narrow):
    pretrained = read_pretrained(save_whole_whisper(tmp_path))
    assert pretrained.tokenizer is not None
    widths = {"encoder": (48,), "decoder": (40,)} | {narrow: (20, 48) if narrow == "encoder" else (20, 40)}
    torch.manual_seed(3)
    sorted_task, plain = (
        SpeechTask(
            layout=pretrained.layout,
            space=SearchSpace((2,), widths["encoder"], (32,), decoder=SearchSpace((3,), widths["decoder"], (32,))),
            tokenizer=pretrained.tokenizer,
            quantizer=Lsq(),
            features=WhisperLogMelSettings(),
            attention=pretrained.attention,
            ctc=False,
        ).eval()
        for _ in range(2)
    )
    batch = make_batch((0.9, 0.5))
    take_over_pretrained(sorted_task, tmp_path, [batch])
    take_over_pretrained(plain, tmp_path)

    @torch.no_grad()
    def spelt(task, alone):
        shared = task.shared(alone.waveforms, alone.lengths)
        return task.learn(shared, task.space.largest, alone.labels, alone.label_lengths).spelt

    torch.testing.assert_close(spelt(sorted_task, batch), spelt(plain, batch), rtol=0, atol=1e-4)
    seen = activations(sorted_task, lambda: [spelt(sorted_task, batch.select([row])) for row in range(2)])
    heard = seen.scores
    parts = dict(sorted_task.parts())
    for name, mean in seen.means.items():
        part = name[: name.index(".module.")]
        known = parts[part].mean(name.removeprefix(f"{part}.module."))
        expected = mean if name.startswith(narrow) and "feed_forward" in name else torch.zeros_like(mean)
        torch.testing.assert_close(known, expected, rtol=1e-4, atol=1e-5)
    units = {name: score for name, score in heard.items() if name in unit_norms(sorted_task)}
    for name, score in units.items():
        assert (score.diff() <= 1e-5).all() == name.startswith(narrow), name
    by_weights = unit_norms(sorted_task)
    assert not all((by_weights[name].diff() <= 0).all() for name in units)
    assert units.keys() | head_norms(sorted_task).keys() == heard.keys()
