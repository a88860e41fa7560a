"""Tests of parts that are left out by name."""

import hydra
from omegaconf import DictConfig, OmegaConf

from allinone.cli.choices import leave_out
from allinone.cli.main import main


def test_a_part_is_left_out_though_an_experiment_has_settings_for_it():
    overrides = ["experiment=amazon_queen_whisper", "augment=none"]
    with hydra.initialize_config_module("allinone.conf", version_base="1.3"):
        config = hydra.compose("train", overrides, return_hydra_config=True)
    assert config.augment is not None
    leave_out(config, config.hydra.runtime.choices)
    assert config.augment is None
    assert OmegaConf.select(config, "optimizer._target_") is not None


def test_a_verb_leaves_out_what_it_is_told_to(monkeypatch, tmp_path):
    seen: list[DictConfig] = []
    monkeypatch.setattr("allinone.cli.train.run", seen.append)
    assert main(["train", "experiment=amazon_queen_whisper", "augment=none", f"hydra.run.dir={tmp_path}"]) == 0
    assert seen[0].augment is None
    assert seen[0].optimizer is not None
