"""Data: corpora of recordings and transcripts become checked, exactly resumable batches of waveforms and labels."""

from allinone.data.batch import SAMPLE_RATE, Batch
from allinone.data.corpora import Corpus, FolderCorpus, TableCorpus
from allinone.data.librispeech import LibriSpeechCorpus
from allinone.data.module import SpeechDataModule
from allinone.data.report import DataReport
from allinone.data.rows import Row, Segment
from allinone.data.stm import StmSet
from allinone.data.switchboard import SwitchboardCorpus
from allinone.data.synthetic import write_synthetic_corpus

__all__ = [
    "SAMPLE_RATE",
    "Batch",
    "Corpus",
    "DataReport",
    "FolderCorpus",
    "LibriSpeechCorpus",
    "Row",
    "Segment",
    "SpeechDataModule",
    "StmSet",
    "SwitchboardCorpus",
    "TableCorpus",
    "write_synthetic_corpus",
]
