"""Parts that were left out by the name `none` stay out, though an experiment has settings for them."""

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf


def leave_out(config: DictConfig, choices: Mapping[str, str]) -> None:
    """Sets to None what the command line chose as ``none``: ``augment=none`` with an experiment that sets ``augment``.

    Hydra merges the settings of an experiment into whatever is chosen, and so would leave settings of nothing. A part
    that the command line makes itself, by its ``_target_``, is there.

    Args:
        config: of a verb; changed in place.
        choices: the chosen option of each group of the configuration.
    """
    for group, choice in choices.items():
        if choice == "none" and OmegaConf.select(config, f"{group}._target_") is None and group in config:
            config[group] = None
