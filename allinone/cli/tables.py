"""Tables on standard output, or the same rows as one JSON document."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

FORMATS = ("table", "json")
WIDE = 160  # characters, where there is no terminal that would say


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        title: what stands above it.
        key: which value of a row it shows.
        form: how a value is written.
    """

    title: str
    key: str
    form: str = "{}"


def check_format(format: str) -> None:
    """Raises ValueError unless the format is one of FORMATS."""
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; found {format!r}. Choose one of these.")


def show_table(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], caption: str | None = None) -> None:
    """Prints rows as a table; the first column is text, the others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column.title, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(column.form.format(row[column.key]) for column in columns))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE).print(table)


def show_json(document: Any) -> None:
    """Prints one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))
