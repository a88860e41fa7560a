"""A member with Whisper's labels is exported whole: its tokens are listed, and read back as they were."""

from pathlib import Path

import pytest
import torch

from allinone.export import Recogniser, read_artefact, write_artefact
from allinone.subnet import SubnetConfig
from allinone.text import BpeTokenizer
from tests.export.families import make_task
from tests.whisper_tokenizer import LABELS, write_tokenizer

ENGLISH_LABELS = 51_864  # of Whisper's English networks


@pytest.mark.parametrize("labels", [LABELS, ENGLISH_LABELS])
def test_tokens_of_bytes_read_back(tmp_path, labels):
    source = tmp_path / "source"
    source.mkdir()
    write_tokenizer(source, config={"model_type": "whisper", "vocab_size": labels})
    tokenizer = BpeTokenizer.read(source, alphabet=" abc")
    folder = write_artefact(make_task(tokenizer=tokenizer), SubnetConfig.parse("1-32-4bit"), tmp_path / "member")
    assert icefall_tokens(folder / "tokens.txt") == tokenizer.tokens
    assert tokenizer.vocab_size == labels
    artefact = read_artefact(folder)
    assert artefact.tokenizer == tokenizer
    assert isinstance(Recogniser(artefact).transcribe(torch.zeros(16_000).uniform_(-0.1, 0.1), 16_000), str)


def icefall_tokens(file: Path) -> tuple[str, ...]:
    """As icefall and sherpa read them: fields between blanks."""
    fields = [line.split() for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [int(label) for _, label in fields] == list(range(len(fields)))
    return tuple(token for token, _ in fields)
