"""JSON files: an object, or an error that says what is there."""

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a Hugging Face directory.

    Raises:
        ValueError: if there is no such file, or something else in it.
    """
    if not path.is_file():
        found = "no such directory" if not path.parent.is_dir() else "none"
        raise ValueError(
            f"A Hugging Face directory needs a {path.name}; found {found} at {path.parent}. Name a directory as "
            "transformers' save_pretrained writes it."
        )
    return json_object(path, "Copy it again.")


def read_optional(path: Path) -> dict[str, Any]:
    """The same; empty if there is no such file."""
    return read_json(path) if path.is_file() else {}


def json_object(path: Path, advice: str) -> dict[str, Any]:
    """The JSON object in a file that is there.

    Raises:
        ValueError: if there is something else in it; ``advice`` says what to do then.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} must be a JSON document; found a damaged one ({error}). {advice}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object; found {type(content).__name__}. {advice}")
    return content
