"""Tests of what starts the further processes of a run."""

import sys

from hydra.core.hydra_config import HydraConfig

from allinone.cli.main import main


def test_a_job_can_be_started_again_by_its_argument_list(here, monkeypatch):
    seen = []

    def run(config):
        seen.append((sys.argv, HydraConfig.get().run.dir, HydraConfig.get().runtime.output_dir))

    monkeypatch.setattr("allinone.cli.train.run", run)
    monkeypatch.setattr("sys.argv", ["the/script", "of", "pytest"])
    main(["train", "-m", "experiment=tiny_synthetic", "data.corpus.table=x", "seed=1,2", f"hydra.sweep.dir={here}/s"])
    assert [argv for argv, _, _ in seen] == [
        ["the/script", "train", "experiment=tiny_synthetic", "data.corpus.table=x", f"seed={seed}"] for seed in (1, 2)
    ]
    assert all(folder == output == str(here / "s" / str(job)) for job, (_, folder, output) in enumerate(seen))
    assert sys.argv == ["the/script", "of", "pytest"]
