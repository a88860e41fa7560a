"""The comparison of one pass with twins as a page and as a picture."""

from pathlib import Path
from typing import Any

from allinone.report.results import probability
from allinone.report.twins import NOT_WORSE, Row


def page(document: dict[str, Any]) -> str:
    """The table in Markdown, with what stands behind it.

    Args:
        document: ``members`` (rows of :func:`allinone.report.twins.judge_twins` with sizes), ``cost``, and what they
            were measured on.
    """
    rows, with_baseline = document["members"], "baseline" in document["members"][0]
    titles = ["member", "stored", "ratio", "WER, %", "alone, %", "less alone's (interval)", "p (Holm)", "verdict"]
    titles += ["less baseline's (interval)", "p (Holm)", "verdict"] if with_baseline else []
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        line = [
            f"`{row['name']}`",
            f"{row['bytes_stored'] / 1e6:.2f} MB",
            f"{row['ratio']:.2f}",
            f"{row['wer']:.1f}",
            f"{row['twin_wer']:.1f}",
            *_judgement(row["twin"]),
        ]
        lines.append(line + (_judgement(row["baseline"]) if with_baseline else []))
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{_caption(document)}\n{table}\n{_summary(rows, document)}"


def _judgement(found: dict[str, Any]) -> list[str]:
    low, high = found["interval"]
    return [f"{found['difference']:+.1f} ({low:+.1f} to {high:+.1f})", probability(found["p_holm"]), found["verdict"]]


def _caption(document: dict[str, Any]) -> str:
    splits, confidence = " and ".join(document["splits"]), f"{100 * (1 - document['alpha']):g} %"
    return (
        f"{document['corpus']}, {splits} pooled: {document['words']:,} words of {document['utterances']:,} utterances; "
        f"decoder: {document['decoder']['kind']}.\n"
        f"Intervals: {confidence}, {document['samples']:,} bootstrap samples of the utterances. Verdicts: matched "
        f"pairs (MAPSSWE), alpha {document['alpha']:g}, Holm's correction for {len(document['members'])} members.\n"
    )


def _summary(rows: list[Row], document: dict[str, Any]) -> str:
    cost = document["cost"]
    not_worse = [row["name"] for row in rows if row["twin"]["not_worse"]]
    better = [row["name"] for row in rows if row["twin"]["verdict"] == "better"]
    detectable = [row["twin"]["detectable"] for row in rows if row["twin"]["detectable"] is not None]
    seen = f"; the test alone would have called {max(detectable):.1f} points a difference" if detectable else ""
    by_ledger = cost["one_pass_single_runs_by_its_ledger"]
    ledger = f" ({by_ledger:.2f} by its own ledger)" if by_ledger else ""
    return (
        f"* not worse than alone (the interval's upper end below {NOT_WORSE:g} point): {len(not_worse)} of "
        f"{len(rows)}; significantly better: {len(better)}{seen}\n"
        f"* one pass: {cost['one_pass_seconds']:,.0f} s, {cost['one_pass_single_runs']:.2f} single runs{ledger}; the "
        f"{len(rows)} trained alone: {cost['twins_seconds']:,.0f} s, {cost['twins_single_runs']:.2f} single runs\n"
    )


def draw(document: dict[str, Any], path: Path) -> None:
    """Word error rate over stored size, of each member and of its twin, with a line between the two."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    rows = document["members"]
    for row in rows:
        size = row["bytes_stored"] / 1e6
        low, high = row["twin"]["interval"]
        axes.plot([size, size], [row["twin_wer"] + low, row["twin_wer"] + high], color="0.75", linewidth=4, zorder=1)
        axes.annotate(row["name"], (size, row["wer"]), xytext=(6, 4), textcoords="offset points", fontsize=8)
    sizes = [row["bytes_stored"] / 1e6 for row in rows]
    axes.scatter(sizes, [row["wer"] for row in rows], color="tab:blue", zorder=3, label="in one pass")
    twins = [row["twin_wer"] for row in rows]
    axes.scatter(sizes, twins, marker="x", color="tab:orange", zorder=2, label="trained alone")
    if "baseline" in rows[0]:
        axes.axhline(rows[0]["baseline_wer"], color="0.4", linestyle=":", label="baseline")
    axes.set_xlabel("stored, MB")
    axes.set_ylabel("word error rate, %")
    axes.margins(0.15)
    axes.legend(title="grey: interval of the difference", frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    pyplot.close(figure)
