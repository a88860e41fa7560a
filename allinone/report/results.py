"""The table of results: every member's size and error rates, and whether it differs from a baseline."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allinone.scoring import compare, read_trn, trn_words

Row = dict[str, Any]
_COMPARABLE = ("corpus", "split", "decoder")  # what two evaluations must have in common
_BASELINE = "the baseline"


@dataclass(frozen=True)
class Evaluated:
    """What `allinone evaluate` left in a folder.

    Attributes:
        folder: where.
        results: its ``results.json``.
        references: the words that were said in each utterance.
        hypotheses: for each member, the words that it heard.
    """

    folder: Path
    results: dict[str, Any]
    references: dict[str, list[str]]
    hypotheses: dict[str, dict[str, list[str]]]

    @classmethod
    def read(cls, folder: Path) -> "Evaluated":
        """Reads the folder. Raises ValueError if it holds no evaluation, or a part of one."""
        try:
            results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
            names = [row["name"] for row in results["members"]]
            missing = [key for key in (*_COMPARABLE, "checkpoint") if key not in results]
            if missing or not names:
                raise KeyError(", ".join(missing) or "members")
            references = _words(folder / "reference.trn")
            hypotheses = {name: _words(folder / f"{name}.trn") for name in names}
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            found = error.filename if isinstance(error, OSError) else repr(error)
            raise ValueError(
                "A report requires the run folder of an `allinone evaluate`, with results.json and a .trn file for "
                f"each member; found {folder}, where these are missing or unreadable ({found}). "
                "Name the folder that evaluate said its results are in."
            ) from error
        return cls(folder, results, references, hypotheses)

    @classmethod
    def pooled(cls, parts: "Sequence[Evaluated]") -> "Evaluated":
        """Evaluations of one checkpoint on several splits as one; the results are those of the first.

        Raises:
            ValueError: if they are not of the same members, or an utterance is in two of them.
        """
        first = parts[0]
        references: dict[str, list[str]] = {}
        hypotheses: dict[str, dict[str, list[str]]] = {name: {} for name in first.hypotheses}
        for part in parts:
            twice = references.keys() & part.references.keys()
            if twice or part.hypotheses.keys() != hypotheses.keys():
                raise ValueError(
                    f"Splits are pooled that share no utterance, of the same members; found {part.folder} with "
                    f"{', '.join(sorted(twice)[:10]) or ', '.join(part.hypotheses)} beside {first.folder}. Name each "
                    "split once."
                )
            references |= part.references
            for name, heard in part.hypotheses.items():
                hypotheses[name] |= heard
        return cls(first.folder, first.results, references, hypotheses)


def judge(
    evaluated: Evaluated, baseline: Evaluated | None, *, alpha: float = 0.05, samples: int = 10_000, seed: int = 0
) -> list[Row]:
    """A row for each member, in the order of the evaluation.

    Args:
        evaluated: the family.
        baseline: an evaluation of the same utterances whose first member all others are compared with; None leaves
            the comparison out.
        alpha: level of the tests; intervals have the confidence ``1 - alpha``.
        samples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The rows of ``results.json``, each with ``wer_interval`` and, if there is a baseline, ``difference`` (the
        member's word error rate minus the baseline's, in percent points), ``difference_interval``, ``detectable``,
        ``p`` (matched pairs), ``p_holm`` (corrected for the number of members) and ``verdict``: better, worse or same.

    Raises:
        ValueError: if the two were not evaluated alike.
    """
    systems, against = dict(evaluated.hypotheses), None
    if baseline is not None:
        _require_alike(evaluated, baseline)
        against = _BASELINE
        systems[against] = next(iter(baseline.hypotheses.values()))
    comparison = compare(evaluated.references, systems, against=against, alpha=alpha, samples=samples, seed=seed)
    intervals = {system.name: system.interval for system in comparison.systems}
    pairs = {pair.first: pair for pair in comparison.pairs} if baseline is not None else {}
    rows = []
    for row in evaluated.results["members"]:
        name = row["name"]
        judged = {**row, "wer_interval": intervals[name]}
        if name in pairs:
            pair = pairs[name]
            judged |= {
                "difference": pair.difference,
                "difference_interval": pair.interval,
                "detectable": pair.detectable,
                "p": pair.test.p,
                "p_holm": pair.p_holm,
                "verdict": {name: "better", _BASELINE: "worse"}.get(pair.verdict_holm, "same"),
            }
        rows.append(judged)
    return rows


def table(rows: list[Row], baseline: Row | None) -> str:
    """Rows of :func:`judge` as Markdown.

    Args:
        rows: at least one.
        baseline: the row of its own evaluation that the baseline has; it comes first.
    """
    titles = ["member", "parameters", "ratio", "stored", "CER, %", "WER, % (interval)"]
    if baseline is not None:
        titles += ["WER less baseline's (interval)", "p (Holm)", "verdict"]
    lines = [titles, ["---"] * len(titles)]
    if baseline is not None:
        lines.append([*_size(baseline), f"{baseline['wer']:.1f}", "baseline", "", ""])
    for row in rows:
        line = [*_size(row), f"{row['wer']:.1f} ({_between(row['wer_interval'], '.1f')})"]
        if baseline is not None:
            interval = _between(row["difference_interval"], "+.1f")
            line += [f"{row['difference']:+.1f} ({interval})", probability(row["p_holm"]), row["verdict"]]
        lines.append(line)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def probability(p: float) -> str:
    """A p value as tables show it."""
    return f"{p:.4f}" if p >= 1e-4 else "< 0.0001"


def put_section(document: str, section: str, body: str) -> str:
    """A Markdown document in which a section is put between marks: in place of what stood there, or else at the end.

    Raises:
        ValueError: if the document has one of the two marks without the other.
    """
    begin, end = f"<!-- allinone report: {section} -->\n", f"<!-- end of allinone report: {section} -->\n"
    new = f"{begin}{body.strip()}\n{end}"
    if document.count(begin) != document.count(end) or document.count(begin) > 1:
        raise ValueError(
            f"A section is replaced between {begin.strip()!r} and {end.strip()!r}, each once on a line; found "
            f"{document.count(begin)} of the one and {document.count(end)} of the other. Correct the document."
        )
    if begin not in document:
        return f"{document.rstrip()}\n\n{new}" if document.strip() else new
    before, _, rest = document.partition(begin)
    return before + new + rest.partition(end)[2]


def _require_alike(evaluated: Evaluated, baseline: Evaluated) -> None:
    for key in _COMPARABLE:
        one, other = evaluated.results[key], baseline.results[key]
        if one != other:
            raise ValueError(
                f"A baseline must be evaluated like the family; found {key} {one} for {evaluated.folder} and {other} "
                f"for {baseline.folder}. Evaluate both alike."
            )
    if evaluated.references != baseline.references:
        raise ValueError(
            f"A baseline must be evaluated on the same utterances; found {len(evaluated.references)} in "
            f"{evaluated.folder} and others in {baseline.folder} ({len(baseline.references)}). Evaluate both alike."
        )


def _words(path: Path) -> dict[str, list[str]]:
    return {name: trn_words(text) for name, text in read_trn(path)}


def _size(row: Row) -> list[str]:
    return [
        f"`{row['name']}`",
        f"{row['parameters'] / 1e6:.2f} M",
        f"{row['ratio']:.2f}",
        f"{row['bytes_stored'] / 1e6:.2f} MB",
        f"{row['cer']:.1f}",
    ]


def _between(interval: tuple[float, float], form: str) -> str:
    low, high = interval
    return f"{low:{form}} to {high:{form}}"
