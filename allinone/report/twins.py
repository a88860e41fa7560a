"""One pass against twins: members of a supernet beside the same networks trained alone (All-in-one, Table 2)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from allinone.scoring import compare
from allinone.scoring.holm import holm

Words = Mapping[str, Sequence[str]]  # of each utterance, by its id
Row = dict[str, Any]

NOT_WORSE = (
    1.0  # points of word error rate that a difference must stay below, with its interval, to be none that matters
)
_ONE, _OTHER = "one", "other"


@dataclass(frozen=True)
class TrainingRun:
    """A finished run of `allinone train`, or a folder of `allinone quantise`.

    Attributes:
        folder: of the run.
        config: its settings.
        results: its ``results.json``.
        cost: its ledger.
    """

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    cost: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "TrainingRun":
        """Reads the folder. Raises ValueError if it holds no finished run."""
        try:
            config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
            results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
            cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            found = error.filename if isinstance(error, OSError) else repr(error)
            raise ValueError(
                "A comparison requires finished runs of `allinone train`, with config.yaml, cost.json and "
                f"results.json; found {folder}, where one is missing or unreadable ({found}). Name the folder of a "
                "finished run."
            ) from error
        return cls(folder, config, results, cost)

    @property
    def conditions(self) -> dict[str, Any]:
        """What runs must have in common to be compared: data, updates, and what they began with.

        A network that was quantised and not trained (`allinone quantise`) has the data alone.
        """
        if not self.config.get("trained", True):
            return {"data": self.results["data_hash"]}
        trainer, data = self.config["trainer"], self.config["data"]
        return {
            "data": self.results["data_hash"],
            "updates": self.results["steps"],
            "seconds of a batch": data["batch_seconds"],
            "speed factors": data["speed_factors"],
            "batches of an update": trainer["accumulate"],
            "devices": trainer["devices"],
            "seed": self.config["seed"],
            "start": self.config["init"],
            "attention decoder": self.config.get("attention"),
            "CTC output": self.config.get("ctc", True),
        }


def require_alike(runs: Sequence[TrainingRun]) -> None:
    """Raises ValueError, with both values, unless all runs had the same data and updates."""
    first = runs[0]
    for other in runs[1:]:
        differences = [
            f"{name} {value} there, {other.conditions[name]} here"
            for name, value in first.conditions.items()
            if other.conditions.get(name, value) != value
        ]
        if differences:
            raise ValueError(
                f"Runs are compared that had the same data and updates; found, in {first.folder} and {other.folder}: "
                f"{'; '.join(differences)}. Train them alike."
            )


def judge_twins(
    references: Words,
    members: Mapping[str, Words],
    twins: Mapping[str, Words],
    baseline: Words | None,
    *,
    alpha: float = 0.05,
    samples: int = 10_000,
    seed: int = 0,
) -> list[Row]:
    """A row for each twin, in their order.

    Args:
        references: what was said in each utterance.
        members: what members of the supernet heard, by their names.
        twins: what the same networks heard that were trained alone, by the same names.
        baseline: what the network heard that all are held against; None leaves that out.
        alpha: level of the tests; intervals have the confidence ``1 - alpha``.
        samples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        ``name``, ``wer`` and ``twin_wer`` in percent; and for the twin (``twin``) and the baseline (``baseline``):
        ``difference`` (of the member's word error rate, minus the other's), ``interval``, ``detectable``, ``p``
        (matched pairs), ``p_holm`` (corrected for the number of twins), ``verdict`` (better, worse or same), and
        ``not_worse``: whether the upper end of the interval lies below 1 point.
    """
    rows, others = [], {"twin": twins} | ({} if baseline is None else {"baseline": dict.fromkeys(twins, baseline)})
    for name in twins:
        row: Row = {"name": name}
        for kind, systems in others.items():
            found = compare(
                references,
                {_ONE: members[name], _OTHER: systems[name]},
                alpha=alpha,
                samples=samples,
                seed=seed,
            )
            (pair,), (one, other) = found.pairs, found.systems
            row["wer"] = one.counts.rate
            row[f"{kind}_wer"] = other.counts.rate
            row[kind] = {
                "difference": pair.difference,
                "interval": pair.interval,
                "detectable": pair.detectable,
                "p": pair.test.p,
                "not_worse": pair.interval[1] < NOT_WORSE,
            }
        rows.append(row)
    for kind in others:
        for row, p_holm in zip(rows, holm([row[kind]["p"] for row in rows]), strict=True):
            better = "better" if row[kind]["difference"] < 0 else "worse"
            row[kind] |= {"p_holm": p_holm, "verdict": better if p_holm < alpha else "same"}
    return rows


def costs(one_pass: TrainingRun, twins: Sequence[TrainingRun], baseline: TrainingRun | None) -> dict[str, Any]:
    """What the runs cost, in seconds and in single runs.

    The single run is the baseline as it was measured, or else what the ledger of the one pass says that its largest
    member alone would have cost; so it is if the baseline was not trained.
    """
    measured = 0 if baseline is None else baseline.cost["seconds"]
    single = measured or one_pass.cost["single_run_seconds"]
    of_twins = sum(twin.cost["seconds"] for twin in twins)
    return {
        "single_run_seconds": single,
        "one_pass_seconds": one_pass.cost["seconds"],
        "one_pass_single_runs": one_pass.cost["seconds"] / single,
        "one_pass_single_runs_by_its_ledger": one_pass.cost["single_runs"],
        "twins_seconds": of_twins,
        "twins_single_runs": of_twins / single,
    }
