"""A tiny corpus for tests: every character is a pair of tones, so that a small network learns it in a minute."""

import random
from pathlib import Path

import numpy as np
import soundfile

from allinone.data.audio import write_wav
from allinone.data.batch import SAMPLE_RATE

LETTERS = "adeinost"
_SECONDS_A_CHARACTER = (0.08, 0.1)


def write_synthetic_corpus(
    folder: str | Path,
    utterances: int = 120,
    seed: int = 0,
    words: int = 12,
    sample_rate: int = SAMPLE_RATE,
    noise: float = 0.003,
) -> Path:
    """Write WAV files and their table; a pure function of its arguments.

    Utterances last 0.6 to 1.6 s and are sentences of made-up words; no text is in two splits. Of ten utterances eight
    are train, one dev, one test.

    Args:
        folder: made if need be; the audio lies in its ``audio`` folder.
        utterances: how many, 10 at least.
        seed: of texts and noise.
        words: size of the vocabulary.
        sample_rate: of the files, in Hz.
        noise: standard deviation of the added noise, full scale being 1.

    Returns:
        The path of the table (columns ``id``, ``audio``, ``split``, ``text``), for ``TableCorpus``.

    Raises:
        ValueError: if there are fewer than 10 utterances.
    """
    if utterances < 10:
        raise ValueError(
            f"a synthetic corpus requires at least 10 utterances for its three splits, found {utterances}; ask for more"
        )
    chance, noises = random.Random(seed), np.random.default_rng(seed)
    lexicon: set[str] = set()
    while len(lexicon) < words:
        lexicon.add("".join(chance.choices(LETTERS, k=chance.randint(2, 4))))
    texts: dict[str, None] = {}
    while len(texts) < utterances:
        text = " ".join(chance.choices(sorted(lexicon), k=chance.randint(2, 4)))
        if 7 <= len(text) <= 15:
            texts[text] = None
    audio = Path(folder) / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    lines = ["id\taudio\tsplit\ttext"]
    for number, text in enumerate(texts):
        name = f"utterance-{number:04d}"
        split = {8: "dev", 9: "test"}.get(number % 10, "train")
        samples = _say(text, chance, sample_rate)
        samples += noises.normal(0.0, noise, len(samples)).astype(np.float32)
        if sample_rate == SAMPLE_RATE:
            write_wav(audio / f"{name}.wav", samples)
        else:
            soundfile.write(audio / f"{name}.wav", samples, sample_rate, subtype="PCM_16")
        lines.append(f"{name}\taudio/{name}.wav\t{split}\t{text}")
    table = Path(folder) / "lines.tsv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def _say(text: str, chance: random.Random, sample_rate: int) -> np.ndarray:
    """Tones of a text with soft edges; a space is a pause."""
    pieces = []
    for character in text:
        count = round(chance.uniform(*_SECONDS_A_CHARACTER) * sample_rate)
        time = np.arange(count, dtype=np.float32) / sample_rate
        if character == " ":
            pieces.append(np.zeros(count, dtype=np.float32))
            continue
        place = LETTERS.index(character)
        low, high = 300.0 + 130.0 * place, 1500.0 + 260.0 * ((place * 3) % len(LETTERS))
        tone = np.sin(2 * np.pi * low * time) + 0.7 * np.sin(2 * np.pi * high * time)
        pieces.append((0.2 * tone * np.sin(np.pi * np.arange(count) / count) ** 0.5).astype(np.float32))
    return np.concatenate(pieces)
