"""`allinone score`: error rates of transcripts, and which differences between systems are significant."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from allinone.cli.tables import Column, check_format, show_json, show_table
from allinone.scoring import Comparison, Pair, System, compare, read_trn, trn_words
from allinone.scoring.significance import SAME, listed

SYSTEMS = (
    Column("system", "name"),
    Column("WER %", "wer", "{:.2f}"),
    Column("interval", "wer_interval", "{0[0]:.2f} to {0[1]:.2f}"),
    Column("S", "substitutions"),
    Column("D", "deletions"),
    Column("I", "insertions"),
)
PAIRS = (
    Column("pair", "pair"),
    Column("WER\ndiff.", "difference", "{:+.2f}"),
    Column("interval", "difference_interval", "{0[0]:+.2f} to {0[1]:+.2f}"),
    Column("detect-\nable", "detectable_in_words"),
    Column("seg-\nments", "segments"),
    Column("p", "p", "{:.4f}"),
    Column("p\n(Holm)", "p_holm", "{:.4f}"),
    Column("better", "better"),
)
NUMBERS = {"alpha": (int, float), "samples": int, "seed": int}  # arguments, and what they are

logger = logging.getLogger(__name__)


def run(config: DictConfig, files: Sequence[str] = ()) -> None:
    """Prints the systems and the pairs of them that are compared."""
    check_format(config.format)
    for key, kind in NUMBERS.items():
        if not isinstance(config[key], kind) or config[key] < 0:
            raise ValueError(f"{key} must be a number, not a negative one; found {config[key]!r}. Give such a number.")
    given = config.hypotheses if isinstance(config.hypotheses, ListConfig) else [config.hypotheses]
    paths = [*map(str, given), *files]
    if not paths:
        raise ValueError("Scoring requires hypotheses; found none. Add hypotheses=FILE, or paths after --.")
    names = _names(paths) if config.names is None else _given_names(config.names, paths)
    references = _read(config.reference, config.case_sensitive)
    silent = [utterance for utterance, words in references.items() if not words]
    if silent and len(silent) < len(references):
        logger.warning(
            "Every word heard in an utterance without reference words counts as inserted: %s.", listed(silent)
        )
    hypotheses = {name: _read(path, config.case_sensitive) for name, path in zip(names, paths, strict=True)}
    comparison = compare(
        references,
        hypotheses,
        against=config.against,
        alpha=config.alpha,
        samples=config.samples,
        seed=config.seed,
    )
    if config.format == "json":
        show_json(_document(comparison, len(references), config))
    else:
        _show(comparison, len(references), config)


def _names(paths: Sequence[str]) -> list[str]:
    """The files' names without their ending; where two are the same, with the folders that tell them apart."""
    stems = [Path(path).stem for path in paths]
    if len(set(stems)) == len(stems):
        return _unique(stems)
    if len(set(paths)) < len(paths):
        return _unique(list(paths))
    parts = [Path(path).with_suffix("").parts for path in paths]
    common = next(place for place, column in enumerate(zip_longest(*parts)) if len(set(column)) > 1)
    same_file = len(set(stems)) == 1 and all(len(part) > common + 1 for part in parts)
    return _unique(["/".join(part[common : len(part) - same_file]) for part in parts])


def _given_names(names: ListConfig | str, paths: Sequence[str]) -> list[str]:
    names_given = [names] if isinstance(names, str) else list(map(str, names))
    if len(names_given) != len(paths):
        raise ValueError(
            f"names requires one for each of the {len(paths)} hypotheses; found {len(names_given)}. "
            "Name all, or leave names out."
        )
    return _unique(names_given)


def _unique(names: list[str]) -> list[str]:
    if SAME in names or len(set(names)) < len(names):
        raise ValueError(
            f"Systems require names that differ from each other and from {SAME!r}; found {', '.join(names)}. "
            "Give each file once, or name the systems: 'names=[one,other]'."
        )
    return names


def _read(path: str, case_sensitive: bool) -> dict[str, list[str]]:
    texts = read_trn(path)
    if not texts:
        raise ValueError(f"Scoring requires utterances; found none in {path}. Give a .trn file with lines 'text (id)'.")
    return {name: trn_words(text, case_sensitive) for name, text in texts}


def _document(comparison: Comparison, utterances: int, config: DictConfig) -> dict[str, Any]:
    return {
        "utterances": utterances,
        "alpha": config.alpha,
        "samples": config.samples,
        "seed": config.seed,
        "systems": [_system(system) for system in comparison.systems],
        "pairs": [_pair(pair) for pair in comparison.pairs],
    }


def _system(system: System) -> dict[str, Any]:
    return {"name": system.name, "wer": system.counts.rate, "wer_interval": system.interval, **asdict(system.counts)}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "names": [pair.first, pair.second],
        **asdict(pair.test),
        "z": pair.test.z,
        "p": pair.test.p,
        "verdict": pair.verdict,
        "p_holm": pair.p_holm,
        "verdict_holm": pair.verdict_holm,
        "difference": pair.difference,
        "difference_interval": pair.interval,
        "detectable": pair.detectable,
    }


def _show(comparison: Comparison, utterances: int, config: DictConfig) -> None:
    words, confidence = comparison.systems[0].counts.words, f"{100 * (1 - config.alpha):g} %"
    intervals = f"intervals: {confidence}, {config.samples:,} samples of the utterances"
    systems = [_system(system) for system in comparison.systems]
    show_table(SYSTEMS, systems, f"{words:,} words of {utterances:,} utterances; {intervals}")
    rows = [_row(pair) for pair in comparison.pairs]
    if rows:
        together = f", Holm's correction for {len(rows)} pairs" if len(rows) > 1 else ""
        show_table(PAIRS, rows, f"matched pairs (MAPSSWE), alpha {config.alpha:g}{together}")


def _row(pair: Pair) -> dict[str, Any]:
    """A pair as its row of the table."""
    return {
        **_pair(pair),
        "pair": f"{pair.first} : {pair.second}",
        "detectable_in_words": "-" if pair.detectable is None else f"{pair.detectable:.2f}",
        "better": {pair.first: "first", pair.second: "second", SAME: "same"}[pair.verdict_holm],
    }
