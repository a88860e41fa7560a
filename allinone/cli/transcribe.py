"""`allinone transcribe`: recordings to text with an exported member."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from allinone.cli.tables import check_format, console, show_json
from allinone.decoding import Hypothesis, NoCtc, NoSpeller
from allinone.export.audio import open_audio
from allinone.export.recogniser import Recogniser, load, text_of
from allinone.scoring import ErrorCounts, character_errors, word_errors
from allinone.scoring.marking import marked
from allinone.text import Normalizer

FORMATS = ("text", "json")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording, and what was said if that is known.

    Args:
        audio: where the recording is.
        sample_rate: of the recording, in Hz.
        windows: for each window of it the hypotheses, the best first.
        reference: what was said.
    """

    audio: str
    sample_rate: int
    windows: Sequence[Sequence[Hypothesis]]
    reference: str | None = None

    @property
    def text(self) -> str:
        """The best of all windows."""
        return text_of(self.windows)

    @property
    def scored(self) -> str:
        """The same as references are: in lower case, without punctuation."""
        return Normalizer()(self.text)

    @property
    def words(self) -> ErrorCounts:
        """Errors in words; none where it is not known what was said."""
        return ErrorCounts() if self.reference is None else word_errors(self.reference, self.scored)

    @property
    def characters(self) -> ErrorCounts:
        """Errors in characters; none where it is not known what was said."""
        return ErrorCounts() if self.reference is None else character_errors(self.reference, self.scored)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        document: dict[str, Any] = {"audio": self.audio, "text": self.text}
        document["scores"] = [dict(hypotheses[0].scores) for hypotheses in self.windows]
        if any(len(hypotheses) > 1 for hypotheses in self.windows):
            document["alternatives"] = [
                [{"text": other.text, "scores": dict(other.scores)} for other in hypotheses[1:]]
                for hypotheses in self.windows
            ]
        if self.reference is not None:
            words = self.words
            document |= {"reference": self.reference, "wer": words.rate, "cer": self.characters.rate}
            document |= {"substitutions": words.substitutions, "deletions": words.deletions}
            document |= {"insertions": words.insertions, "words": words.words}
        return document


def run(config: DictConfig, files: Sequence[str] = ()) -> None:
    """Prints the text of each recording; one that cannot be read is told of, and makes the exit status 1 at the end."""
    check_format(config.format, FORMATS)
    given = config.audio if isinstance(config.audio, ListConfig) else [config.audio]
    audio = [*map(str, given), *files]
    if not audio:
        raise ValueError("Transcribing requires recordings; found none. Add audio=FILE, or paths after --.")
    references = None if config.references is None else _references(Path(config.references))
    recogniser = load(config.model, decoder=instantiate(config.decoder), bits=config.bits)
    transcripts = []
    for path in audio:
        transcript = _transcript(recogniser, path, references)
        if transcript is None:
            continue
        transcripts.append(transcript)
        if config.format == "text":
            _show(transcript, alone=len(audio) == 1)
    if config.format == "json":
        show_json([transcript.to_dict() for transcript in transcripts])
    else:
        _show_score(transcripts)
    _tell_resampling(transcripts, recogniser.sample_rate)
    if len(transcripts) < len(audio):
        logger.error("%d of %d recordings could not be transcribed.", len(audio) - len(transcripts), len(audio))
        raise SystemExit(1)


def _transcript(recogniser: Recogniser, path: str, references: Mapping[str, str] | None) -> Transcript | None:
    try:
        windows = recogniser.hypotheses_of_file(path)
        with open_audio(Path(path)) as file:
            sample_rate = file.samplerate
    except (NoCtc, NoSpeller):
        raise
    except (ValueError, OSError) as error:
        logger.error("%s", error)
        return None
    name = Path(path).stem
    if references is not None and name not in references:
        logger.warning("The references have no line of id %r: %s is not scored.", name, path)
    return Transcript(path, sample_rate, windows, (references or {}).get(name))


def _tell_resampling(transcripts: Sequence[Transcript], wanted: int) -> None:
    """Says once which recordings had another sample rate than the network."""
    rates = Counter(transcript.sample_rate for transcript in transcripts if transcript.sample_rate != wanted)
    if rates:
        found = ", ".join(f"{count} from {rate} Hz" for rate, count in sorted(rates.items()))
        logger.info("Resampled to %d Hz, the rate of the network: %s.", wanted, found)


def _references(table: Path) -> dict[str, str]:
    """Normalised texts by id."""
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    header = lines[0].split("\t") if lines else []
    if not {"id", "text"} <= set(header):
        raise ValueError(
            f"references requires a table with the columns id and text, separated by tabs; found {header} in {table}. "
            "Add the header line."
        )
    name, text, normalize = header.index("id"), header.index("text"), Normalizer()
    rows = (line.split("\t") for line in lines[1:])
    return {row[name]: normalize(row[text]) for row in rows if len(row) > max(name, text)}


def _show(transcript: Transcript, alone: bool) -> None:
    if transcript.reference is None:
        print(transcript.text if alone else f"{transcript.audio}\t{transcript.text}", flush=True)
        return
    print(f"{transcript.audio}: {_rate(transcript.words)}")
    for said, heard, marks in marked(transcript.reference, transcript.scored, console().width - len("  heard  ")):
        print(f"  said   {said}\n  heard  {heard}")
        print(f"         {marks}" if marks else "", flush=True)


def _show_score(transcripts: Sequence[Transcript]) -> None:
    scored = [transcript for transcript in transcripts if transcript.reference is not None]
    if scored:
        words = sum((transcript.words for transcript in scored), ErrorCounts())
        characters = sum((transcript.characters for transcript in scored), ErrorCounts())
        print(f"{len(scored)} recordings: {_rate(words)}, CER {characters.rate:.1f} %")


def _rate(words: ErrorCounts) -> str:
    return (
        f"WER {words.rate:.1f} % ({words.substitutions} S, {words.deletions} D, {words.insertions} I "
        f"in {words.words} words)"
    )
