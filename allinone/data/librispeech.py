"""LibriSpeech: read-aloud English books, as openslr.org/12 unpacks it."""

from dataclasses import dataclass
from pathlib import Path

from lhotse.recipes.librispeech import prepare_librispeech

from allinone.data.importing import contents, importing, inside, require_folder
from allinone.data.report import MISSING
from allinone.data.rows import Row, split_name

_THREADS = 4


@dataclass(frozen=True)
class LibriSpeechCorpus:
    """LibriSpeech (Panayotov et al. 2015) through lhotse's importer; the FLAC files are read where they are.

    Below the folder each part has ``<speaker>/<chapter>/<speaker>-<chapter>.trans.txt``, a line ``<id> <TEXT>`` for
    each utterance, and beside it the recordings ``<id>.flac``. The parts for training are the split ``train``; the
    others keep their names: the split ``test`` is all of test-clean and test-other, ``test-other`` one of them.
    Mini LibriSpeech (openslr.org/31: train-clean-5, dev-clean-2) has the same layout.

    Attributes:
        folder: the folder ``LibriSpeech``, which holds the parts.
        parts: names of the parts to read.
        name: for logs and tables.

    Raises:
        ValueError: if no parts are asked for, or one is not named train, dev or test (at once); if a part is missing
            or has no transcripts, or a recording cannot be read (on ``rows``).
    """

    folder: str
    parts: tuple[str, ...] = ("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")
    name: str = "LibriSpeech"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts or not all(map(split_name, self.parts)):
            raise ValueError(
                "LibriSpeech requires parts that are called train-..., dev-... or test-..., found "
                f"{', '.join(self.parts) or 'none'}; correct corpus.parts"
            )

    @property
    def archive_path(self) -> Path | None:
        return None

    def rows(self) -> list[Row]:
        top = Path(self.folder)
        require_folder(top, "LibriSpeech", "its folder, which holds the parts,", "corpus.folder")
        missing = [part for part in self.parts if not (top / part).is_dir()]
        if missing:
            raise ValueError(
                f"LibriSpeech requires the folders {', '.join(self.parts)}, found {inside(top)}; "
                f"unpack {', '.join(missing)} there, or correct corpus.folder or corpus.parts"
            )
        return [row for part in self.parts for row in self._rows(top, part)]

    def _rows(self, top: Path, part: str) -> list[Row]:
        ids = _transcribed(top / part)
        if not ids:
            raise ValueError(
                "LibriSpeech requires transcripts <speaker>/<chapter>/*.trans.txt in each part, found none in "
                f"{part}, and {inside(top / part)}; unpack {part}.tar.gz again"
            )
        with importing(f"LibriSpeech {part}", f"unpack {part}.tar.gz again"):
            recordings, pieces = contents(prepare_librispeech(top, dataset_parts=[part], num_jobs=_THREADS)[part])
        texts = {piece.recording_id: piece.text or "" for piece in pieces}
        split, rows = split_name(part), []
        for name in ids:
            speaker = name.partition("-")[0]
            path = (top / part / name.replace("-", "/")).with_name(f"{name}.flac")
            if name in recordings:
                rows.append(Row(name, str(path), texts[name], split, speaker, recording=recordings[name]))
            else:
                rows.append(Row(name, str(path), "", split, speaker, problem=(MISSING, f"no file {path}")))
        return rows


def _transcribed(folder: Path) -> list[str]:
    """Ids of all utterances that transcripts below a folder name, in order."""
    return sorted(
        line.split(maxsplit=1)[0]
        for path in folder.rglob("*.trans.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    )
