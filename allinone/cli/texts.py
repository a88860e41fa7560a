"""`allinone texts`: the transcripts of a corpus as training reads them, for tools that take plain text."""

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.data import SpeechDataModule
from allinone.data.rows import check_split

logger = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Writes one transcript a line, in the order of the corpus."""
    check_split(config.split)
    data: SpeechDataModule = instantiate(config.data)
    data.prepare()
    texts = data.texts(config.split)
    Path(config.output).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    logger.info("%s: %d transcripts (%s, %s).", config.output, len(texts), data.corpus.name, config.split)
