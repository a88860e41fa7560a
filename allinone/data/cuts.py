"""Cuts: an utterance's recording and text as one lhotse value, and evaluation batches of them."""

from collections.abc import Sequence

from lhotse import CutSet, MonoCut, MultiCut, Recording, SupervisionSegment
from lhotse.cut import Cut

from allinone.data.batch import SAMPLE_RATE
from allinone.data.rows import Row


def make_cut(row: Row, text: str, recording: Recording) -> Cut:
    """The row's segment, or the whole recording, with the normalised text."""
    segment, seconds = row.segment, seconds_of(row, recording)
    speaker = row.speaker or None
    supervision = SupervisionSegment(row.id, recording.id, start=0.0, duration=seconds, text=text, speaker=speaker)
    if segment is not None:
        return MonoCut(row.id, segment.start, seconds, segment.channel, [supervision], recording=recording)
    if recording.num_channels == 1:
        return MonoCut(row.id, 0.0, recording.duration, 0, supervisions=[supervision], recording=recording)
    channels = list(recording.channel_ids or [])
    return MultiCut(row.id, 0.0, recording.duration, channels, supervisions=[supervision], recording=recording)


def seconds_of(row: Row, recording: Recording) -> float:
    """How long the row's segment is, or the whole recording."""
    return recording.duration if row.segment is None else row.segment.duration


def text_of(cut: Cut) -> str:
    """The normalised text of a cut that ``make_cut`` made."""
    return cut.supervisions[0].text or ""


def samples_of(cut: Cut) -> int:
    """How many samples at 16 kHz a cut has."""
    return round(cut.duration * SAMPLE_RATE)


def plan_by_duration(cuts: Sequence[Cut], seconds: float, ranks: int = 1) -> list[CutSet]:
    """Batches in order of falling duration whose padded audio lasts at most so many seconds; at least one a rank.

    Raises:
        ValueError: if there are fewer cuts than ranks.
    """
    if len(cuts) < ranks:
        raise ValueError(
            f"{ranks} processes require a split of at least {ranks} utterances, found {len(cuts)}; "
            "add utterances, or use fewer devices"
        )
    plan: list[list[Cut]] = []
    for cut in sorted(cuts, key=lambda cut: (-cut.duration, cut.id)):
        if plan and plan[-1][0].duration * (len(plan[-1]) + 1) <= seconds:
            plan[-1].append(cut)
        else:
            plan.append([cut])
    while len(plan) < ranks:
        place = max(range(len(plan)), key=lambda place: len(plan[place]))
        middle = len(plan[place]) // 2
        plan[place : place + 1] = [plan[place][:middle], plan[place][middle:]]
    return [CutSet.from_cuts(batch) for batch in plan]
