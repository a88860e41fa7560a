"""Pages in Markdown: printed, put into a section of a document, or the same facts as one JSON document."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from allinone.cli.tables import check_format, show_json
from allinone.report.results import put_section


def check_page(config: DictConfig) -> None:
    """Raises ValueError unless ``format`` and ``output`` go together."""
    check_format(config.format, ("markdown", "json"))
    if config.output is not None and config.format == "json":
        raise ValueError("output takes Markdown; found format=json. Leave one of the two out.")


def show_page(config: DictConfig, page: str, document: Any) -> None:
    """Prints the page, or the document as JSON; with ``output``, replaces a section of that file, or adds it."""
    if config.format == "json":
        show_json(document)
    elif config.output is None:
        print(page, end="")
    else:
        output = Path(str(config.output))
        before = output.read_text(encoding="utf-8") if output.exists() else ""
        written = output.with_name(output.name + ".new")
        written.write_text(put_section(before, str(config.section), page), encoding="utf-8")
        written.replace(output)
