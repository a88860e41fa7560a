"""A synthetic corpus that the data tests share, prepared once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allinone.data import SpeechDataModule, TableCorpus, write_synthetic_corpus
from allinone.text import CharTokenizer
from tests.data.examples import frames


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    return write_synthetic_corpus(tmp_path_factory.mktemp("synthetic"), utterances=60, seed=1)


@pytest.fixture
def make_data(table) -> Callable[..., SpeechDataModule]:
    """Makes a prepared and checked data module of the synthetic corpus."""

    def make(**settings) -> SpeechDataModule:
        defaults: dict[str, Any] = {"corpus": TableCorpus(str(table)), "cache": str(table.parent / "cache")}
        defaults |= {"batch_seconds": 6.0, "num_buckets": 3, "num_workers": 0}
        data = SpeechDataModule(**(defaults | settings))
        data.prepare()
        data.check(CharTokenizer(), frames)
        return data

    return make
