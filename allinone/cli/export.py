"""`allinone export`: one member of a trained supernet as a stand-alone directory."""

import json
import logging
from pathlib import Path

from omegaconf import DictConfig

from allinone.cli.trained_data import provide_statistics, trained_data
from allinone.decoding import Greedy
from allinone.export import Manifest, write_artefact
from allinone.export.huggingface import WEIGHTS, write_huggingface
from allinone.subnet import SubnetConfig
from allinone.training.start import load_task

logger = logging.getLogger(__name__)

_FORMATS = {"allinone": write_artefact, "huggingface": write_huggingface}


def run(config: DictConfig) -> None:
    """Writes the directory and says what is in it."""
    if config.format not in _FORMATS:
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}; found {config.format!r}. Choose one of these.")
    if config.nested and config.format != "allinone":
        raise ValueError(
            f"nested=true requires format=allinone; found format={config.format}, which has one precision. "
            "Leave one of them out."
        )
    task, about = load_task(Path(config.checkpoint))
    member = task.space.parse(config.subnet)
    provide_statistics(task, [member], about, lambda: trained_data(task, about), device="cpu")
    more = {"nested": True} if config.nested else {}
    folder = _FORMATS[config.format](
        task,
        member,
        Path(str(config.output)),
        results=None if config.results is None else _rates(Path(config.results), member),
        data_hash=about["origin"].get("data_hash"),
        about_data=config.about_data,
        overwrite=config.overwrite,
        **more,
    )
    if config.format == "huggingface":
        logger.info(
            "%s is in %s: %.2f MB of weights in float32, which transformers opens; its outputs are the supernet's.",
            member.name,
            config.output,
            (folder / WEIGHTS).stat().st_size / 1e6,
        )
        return
    manifest = Manifest.read(folder)
    logger.info(
        "%s is in %s: %.2f MB of weights, %.1f times smaller by the papers' rule than the largest encoder at full "
        "precision; its outputs equal the supernet's.",
        member.name,
        config.output,
        manifest.bytes_stored / 1e6,
        manifest.ratio,
    )
    for bits, of_it in (manifest.nested or {}).items():
        logger.info("bits=%s reads %.2f MB of them: %s.", bits, of_it["bytes_read"] / 1e6, of_it["member"])


def _rates(path: Path, member: SubnetConfig) -> dict[str, dict[str, float]]:
    """The member's error rates in percent by split, from the results of an evaluation; how, if not greedily."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        row = {row["name"]: row for row in results["members"]}[member.name]
        kind = results["decoder"]["kind"]
        split = results["split"] if kind == Greedy.__name__ else f"{results['split']} (decoded by {kind})"
        return {split: {"wer": row["wer"], "cer": row["cer"]}}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"results requires the results.json of an `allinone evaluate` that has {member.name}; found {path}, where "
            f"it is missing or unreadable ({error}). Evaluate the member, or leave results out."
        ) from error
