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
        labels = labels_of_start(config)
        if labels is not None:
            return labels
    tokenizer = instantiate(config.tokenizer)
    return tokenizer if isinstance(tokenizer, Tokenizer) else None


def labels_of_start(config: DictConfig) -> Tokenizer | None:
    """The labels of what training starts from (``init``).

    Returns:
        None if it brings none, or has none of the network's outputs: labels belong to outputs.

    Raises:
        ValueError: if it is nothing that training starts from.
        OSError: if it is not there.
    """
    from allinone.export.artefact import read_artefact  # a verb that starts from nothing does without all these
    from allinone.tasks.description import restore
    from allinone.training.checkpoints import read_checkpoint
    from allinone.training.pretrained import is_pretrained, labels_of

    source = Path(config.init)
    if is_pretrained(source):
        return labels_of(source)
    if source.is_dir():
        artefact = read_artefact(source)
        labels, attention, ctc = artefact.tokenizer, artefact.attention, artefact.network.head is not None
    else:
        about = read_checkpoint(source)["allinone"]
        labels, attention, ctc = restore(about["tokenizer"]), about.get("attention"), about.get("ctc", True)
    shared = (ctc and config.ctc) or (attention is not None and config.attention is not None)
    return labels if shared else None
