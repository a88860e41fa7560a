"""Tables on standard output, or the same rows as one JSON document."""

import json
import os
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
        title: what stands above it, the unit included.
        key: which value of a row it shows.
        form: how a value is written.
        unit: what a value is divided by before it is written, such as a million; None leaves it as it is.
    """

    title: str
    key: str
    form: str = "{}"
    unit: float | None = None

    def write(self, row: Mapping[str, Any]) -> str:
        """The value of a row."""
        value = row[self.key]
        return self.form.format(value if self.unit is None else value / self.unit)


NAME = Column("member", "name")
# MB are millions of bytes, as the papers count
PARAMETERS = Column("params\nM", "parameters", "{:.2f}", 1e6)
BYTES = Column("size\nMB", "bytes", "{:.2f}", 1e6)
RATIO = Column("ratio", "ratio", "{:.2f}")
STORED = Column("stored\nMB", "bytes_stored", "{:.2f}", 1e6)
SYSTEM_RATIO = Column("whole\nratio", "system_ratio", "{:.2f}")


def check_format(format: str, formats: Sequence[str] = FORMATS) -> None:
    """Raises ValueError unless the format is one of those that a verb writes."""
    if format not in formats:
        raise ValueError(f"format must be one of {', '.join(formats)}; found {format!r}. Choose one of these.")


def console() -> Console:
    """Standard output: as wide as the terminal, or as COLUMNS says; wide into a file or a pipe."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(file=sys.stdout, width=None if known else WIDE, highlight=False)


def show_table(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], caption: str) -> None:
    """Prints rows as a table; the first column is text, the others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column.title, justify="right" if index else "left", no_wrap=not index)
    for row in rows:
        table.add_row(*(column.write(row) for column in columns))
    console().print(table)


def show_json(document: Any) -> None:
    """Prints one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))
