"""Selection: which utterances of a corpus are used and in which split, and why the others are not."""

from collections.abc import Callable, Sequence

from lhotse.cut import Cut

from allinone.data.chance import draw
from allinone.data.cuts import make_cut, seconds_of
from allinone.data.preparation import Prepared
from allinone.data.report import DUPLICATE, EMPTY_TEXT, TOO_LONG, DataReport
from allinone.data.rows import SPLITS, Row, in_split


def distinct_rows(rows: Sequence[Row], report: DataReport) -> list[Row]:
    """The rows that can be used, of equal ids the first; the report notes the others."""
    good, seen = [], set()
    for row in rows:
        if row.problem is not None:
            report.add(row.problem[0], row.id, row.problem[1])
        elif row.id in seen:
            report.add(DUPLICATE, row.id, f"once more, with {row.text!r}")
        else:
            good.append(row)
        seen.add(row.id)
    return good


def select_cuts(
    rows: Sequence[Row],
    prepared: Prepared,
    normalizer: Callable[[str], str],
    max_seconds: float,
    shares: tuple[float, float],
    report: DataReport,
) -> dict[str, list[Cut]]:
    """Cuts of each split, in the order of the rows; the report notes those with bad audio or without text.

    There is always ``train``, ``dev`` and ``test``, unless a corpus has named parts in place of the latter two.

    Args:
        rows: utterances with different ids.
        prepared: their audio.
        normalizer: makes a transcript the text to learn.
        max_seconds: longest utterance.
        shares: of dev and test, 0 .. 1, where a row has no split.
        report: is added to.
    """
    cuts: dict[str, list[Cut]] = {split: [] for split in SPLITS}
    for row in rows:
        text = normalizer(row.text)
        if row.id in prepared.problems:
            report.add(prepared.problems[row.id][0], row.id, prepared.problems[row.id][1])
        elif not text:
            report.add(EMPTY_TEXT, row.id, f"nothing spoken in {row.text!r}")
        elif (seconds := seconds_of(row, prepared.recordings[row.id])) > max_seconds:
            report.add(TOO_LONG, row.id, f"{seconds:.2f} s, at most {max_seconds:g} s are allowed")
        else:
            cut = make_cut(row, text, prepared.recordings[row.id])
            cuts.setdefault(row.split or automatic_split(text, *shares), []).append(cut)
    parted = {split for split in SPLITS if any(in_split(name, split) for name in cuts if name != split)}
    return {split: found for split, found in cuts.items() if found or split not in parted}


def automatic_split(text: str, dev_share: float, test_share: float) -> str:
    """A split by a hash of the text alone: no text is in two, and new data moves no old text."""
    place = draw("split", text) / 2**63
    return "dev" if place < dev_share else "test" if place < dev_share + test_share else "train"


def choose(cuts: Sequence[Cut], count: int) -> list[Cut]:
    """So many of the cuts (all, if there are fewer), chosen by a hash of their ids; a larger choice holds a smaller."""
    return sorted(cuts, key=lambda cut: draw("subset", cut.id))[:count]
