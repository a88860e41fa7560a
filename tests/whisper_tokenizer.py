"""What tests share about Whisper's labels: a directory with a small byte-level BPE, special tokens in their order."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

TEXTS = ("the cat sat on the mat", "a cat and a hat", "that is that", "on and on it went", "it's what a tan hat is")
SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|de|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nocaptions|>",
    "<|notimestamps|>",
)
PIECES = 280  # of text: the 256 bytes and 24 merges
TIMESTAMPS = 5  # labels of the network that the file does not name
LABELS = PIECES + len(SPECIAL) + TIMESTAMPS


@cache
def _trained() -> str:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = ByteLevelDecoder()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = BpeTrainer(vocab_size=PIECES, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator([f" {text}" for text in TEXTS] * 3, trainer)
    return tokenizer.to_str()


def tokenizer_json() -> dict[str, Any]:
    """The content of such a `tokenizer.json`, free to be changed."""
    content = json.loads(_trained())
    content["model"]["vocab"]["<|endoftext|>"] = PIECES  # English-only networks have the end among the pieces, too
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    content["added_tokens"] = [
        {"id": PIECES + index, "content": token, **flags, "special": True} for index, token in enumerate(SPECIAL)
    ]
    return content


def write_tokenizer(folder: Path, *, multilingual: bool = False, **changes: Any) -> Path:
    """A directory with a config that has more labels than the file names, as Whisper's have; of English alone."""
    config = {"model_type": "whisper", "vocab_size": LABELS}
    files = {"config": config, "tokenizer": tokenizer_json(), "generation_config": {"is_multilingual": multilingual}}
    for name, content in (files | changes).items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return folder
