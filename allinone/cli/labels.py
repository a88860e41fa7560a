"""The labels of a network: those of what its training starts from, or else those of its tokenizer."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from allinone.text import Tokenizer


def known_labels(config: DictConfig) -> Tokenizer | None:
    """The labels that a training of this configuration would have, as far as they are known without its corpus.

    Returns:
        None if its tokenizer learns them from the corpus. What ``init`` names need not be there yet.
    """
    if config.init is not None and Path(config.init).exists():
        labels = labels_of_start(Path(config.init))
        if labels is not None:
            return labels
    tokenizer = instantiate(config.tokenizer)
    return tokenizer if isinstance(tokenizer, Tokenizer) else None


def labels_of_start(source: Path) -> Tokenizer | None:
    """The labels of what training starts from; None if it brings none.

    Raises:
        ValueError: if it is nothing that training starts from.
        OSError: if it is not there.
    """
    from allinone.export.artefact import read_artefact  # a verb that starts from nothing does without all these
    from allinone.tasks.description import restore
    from allinone.training.checkpoints import read_checkpoint
    from allinone.training.pretrained import is_pretrained, labels_of

    if is_pretrained(source):
        return labels_of(source)
    if source.is_dir():
        return read_artefact(source).tokenizer
    return restore(read_checkpoint(source)["allinone"]["tokenizer"])
