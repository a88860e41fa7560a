"""Switchboard: telephone conversations (LDC97S62) with the Mississippi State transcripts, and its evaluation sets."""

import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.recipes.switchboard import prepare_switchboard

from allinone.data.importing import contents, importing, inside, require_folder
from allinone.data.report import MISSING
from allinone.data.rows import Row, Segment
from allinone.data.stm import ADVICE, StmSet

logger = logging.getLogger(__name__)

_NO_SPEECH = re.compile(r"(\s*(\[(silence|noise|laughter|vocalized-noise)\]|<[^<>]*>))*\s*")


@dataclass(frozen=True)
class SwitchboardCorpus:
    """Switchboard-1 (300 h) through lhotse's importer; segments are read from the conversations where they are.

    As ESPnet's recipe (egs/swbd/asr1/run.sh), which All-in-one trains by, has it: the first utterances in the order of
    their ids are the split ``dev``, the others ``train``, of which no transcript stays more often than ``max_repeats``
    times. The evaluation sets are read from NIST's references, which published figures are scored against:
    ``test-hub5-swbd``, ``test-hub5-callhome``, ``test-rt02``, ``test-rt03-swbd``, ``test-rt03-fisher``; the split
    ``test-hub5`` is both parts of one, ``test`` all.

    Recordings are SPHERE files ``sw0<number>.sph``, not compressed with shorten. Transcripts are
    ``sw<number><A or B>-ms98-a-trans.text``, a line ``<id> <begin> <end> <text>`` for each utterance. Nothing is
    downloaded.

    Attributes:
        folder: what the other paths are relative to.
        audio: folder of LDC97S62, at any depth.
        transcripts: the folder ``swb_ms98_transcriptions``.
        hub5: Hub5'00 (LDC2002S09, LDC2002T43); None leaves it out, as the other sets.
        rt02: RT-02, its conversations (LDC2004S11).
        rt03: RT-03, its conversations (LDC2007S10).
        dev_utterances: how many utterances are ``dev``.
        max_repeats: how many training utterances may have the same transcript.
        name: for logs and tables.

    Raises:
        ValueError: if a number is negative (at once); if a folder is missing or laid out otherwise, or a recording
            cannot be read (on ``rows``).
    """

    folder: str
    audio: str = "LDC97S62"
    transcripts: str = "swb_ms98_transcriptions"
    hub5: StmSet | None = None
    rt02: StmSet | None = None
    rt03: StmSet | None = None
    dev_utterances: int = 4000
    max_repeats: int = 300
    name: str = "Switchboard"

    def __post_init__(self) -> None:
        if min(self.dev_utterances, self.max_repeats) < 1:
            raise ValueError(
                "Switchboard requires at least 1 for dev_utterances and max_repeats, found "
                f"{self.dev_utterances} and {self.max_repeats}; give positive numbers"
            )

    @property
    def archive_path(self) -> Path | None:
        return None

    def rows(self) -> list[Row]:
        top = Path(self.folder)
        sets = {"hub5": self.hub5, "rt02": self.rt02, "rt03": self.rt03}
        tests = [row for name, stm in sets.items() if stm is not None for row in stm.rows(top, name)]
        return self._conversations(top / self.audio, top / self.transcripts) + tests

    def _conversations(self, audio: Path, transcripts: Path) -> list[Row]:
        """The utterances of Switchboard-1; a conversation whose recording is missing is one row, with its problem."""
        unheard = _check_layout(audio, transcripts)
        logger.info("reading the headers of the conversations in %s", audio)
        with importing("Switchboard", ADVICE):
            recordings, pieces = contents(
                prepare_switchboard(audio, transcripts, omit_silence=False, absolute_paths=True)
            )
        spoken = [piece for piece in pieces if not _NO_SPEECH.fullmatch(piece.text or "")]
        dev, rest = spoken[: self.dev_utterances], spoken[self.dev_utterances :]
        rows = [_row(piece, recordings[piece.recording_id], "dev") for piece in dev]
        repeats: Counter[str | None] = Counter()
        for piece in rest:
            repeats[piece.text] += 1
            if repeats[piece.text] <= self.max_repeats:
                rows.append(_row(piece, recordings[piece.recording_id], "train"))
        return rows + [
            Row(name, "", "", "train", problem=(MISSING, f"no {name.replace('sw', 'sw0')}.sph below {audio}"))
            for name in unheard
        ]


def _check_layout(audio: Path, transcripts: Path) -> list[str]:
    """Raises ValueError if recordings and transcripts do not lie as expected; names conversations without audio."""
    require_folder(audio, "Switchboard", "the recordings of LDC97S62", "corpus.audio")
    require_folder(transcripts, "Switchboard", "the Mississippi State transcripts", "corpus.transcripts")
    recorded = {path.stem.replace("sw0", "sw") for path in audio.rglob("*.sph")}
    sides = {path.name.partition("-")[0] for path in transcripts.rglob("*trans.text")}
    silent = sorted(name for name in recorded if not {f"{name}A", f"{name}B"} <= sides)
    if not recorded or not sides or silent:
        raise ValueError(
            "Switchboard requires recordings sw0<number>.sph and for each transcripts sw<number>A-ms98-a-trans.text "
            f"and sw<number>B-ms98-a-trans.text, found {len(recorded)} recordings {inside(audio)}; "
            f"{len(sides)} transcripts {inside(transcripts)}; without transcripts: {', '.join(silent[:5]) or 'none'}; "
            "unpack both again, or correct corpus.audio and corpus.transcripts"
        )
    return sorted({side[:-1] for side in sides} - recorded)


def _row(piece: SupervisionSegment, recording: Recording, split: str) -> Row:
    channel = piece.channel
    assert isinstance(channel, int), piece
    return Row(
        id=piece.id,
        audio=str(recording.sources[0].source),
        text=piece.text or "",
        split=split,
        speaker=f"{recording.id}{'AB'[channel]}",
        recording=recording,
        segment=Segment(piece.start, piece.duration, channel),
    )
