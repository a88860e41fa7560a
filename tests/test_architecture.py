"""The rules of the house that a parser can check: floors, who may import what, size and first line of files."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "allinone"

FLOORS = (
    {"subnet", "quantization", "sparsity", "losses", "scoring", "text"},
    {"layers", "search"},
    {"models", "decoding", "data"},
    {"tasks"},
    {"training", "export"},
    {"report"},
    {"cli"},
)
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}

# third-party package -> the places in allinone/ that may import it
ALLOWED = {
    "hydra": {"cli"},
    "omegaconf": {"cli"},
    "lightning": {"training", "data", "cli"},
    "flashlight": set(),  # torchaudio wraps it
    "transformers": {"report/published_step.py", "report/published_import.py"},  # what ours is measured against
    "torchaudio": {"layers/features.py", "export/audio.py", "decoding/flashlight.py"},  # in maintenance: in few files
}
WITHOUT_TORCH = {"subnet", "scoring", "text"}
LONGEST = 300  # lines

FILES = sorted(PACKAGE.rglob("*.py"))
ALL_FILES = sorted([*FILES, *(file for part in ("tests", "conf", "recipes") for file in (ROOT / part).rglob("*.py"))])


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def place(file: Path) -> str:
    """The subpackage of a file: `models` for allinone/models/conformer.py, `` for allinone/__init__.py."""
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Every import of a file, those inside functions too: line and absolute dotted name."""
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)}:{node.lineno} imports relatively; write the full name"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_package_imports_only_lower_floors(file):
    here = place(file)
    if not here:  # allinone/__init__.py offers what a user needs, __main__.py the command
        return
    assert here in FLOOR, f"{here} has no floor; give it one in this test"
    for line, imported in imports(file):
        parts = imported.split(".")
        if parts[0] == "allinone" and len(parts) > 1 and parts[1] != here:
            there = parts[1]
            assert FLOOR.get(there, len(FLOORS)) < FLOOR[here], f"{name(file)}:{line} ({here}) imports {imported}"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_libraries_stay_where_they_belong(file):
    here, path = place(file), file.relative_to(PACKAGE).as_posix()
    for line, imported in imports(file):
        library = imported.split(".")[0]
        allowed = ALLOWED.get(library)
        assert allowed is None or here in allowed or path in allowed, f"{name(file)}:{line} imports {imported}"
        assert library != "torch" or here not in WITHOUT_TORCH, f"{name(file)}:{line} imports {imported}"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_only_the_command_line_prints(file):
    if place(file) == "cli":
        return
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{name(file)}:{node.lineno} prints; use logging"


@pytest.mark.parametrize("file", ALL_FILES, ids=name)
def test_a_file_is_short_and_says_first_what_it_is(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST, f"{name(file)} has {len(lines)} lines; split it"
    first_line = (ast.get_docstring(parse(file)) or "").split("\n")[0]
    assert first_line.endswith("."), f"{name(file)} must begin with a docstring whose first line is one sentence"


def test_every_package_is_in_the_wheel():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = {".".join(file.parent.relative_to(ROOT).parts) for file in FILES if file.name == "__init__.py"}
    assert set(settings["packages"]) == packages | {"allinone.conf"}


def test_no_folder_of_code_lacks_its_init_file():
    assert {file.parent for file in FILES} == {file.parent for file in FILES if file.name == "__init__.py"}
