"""The wheel works outside the checkout."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_wheel_brings_its_configurations_and_runs_from_an_empty_folder(tmp_path):
    source, wheels, target, empty = (tmp_path / name for name in ("source", "wheels", "target", "empty"))
    empty.mkdir()
    source.mkdir()
    for name in ("allinone", "conf"):  # a copy: building leaves files behind, which later wheels would take in
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    shown = {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    assert {
        f"conf/{path.relative_to(target / 'allinone' / 'conf').as_posix()}" for path in target.rglob("*.yaml")
    } == shown
    done = subprocess.run(
        [sys.executable, "-m", "allinone", "subnets", "experiment=switchboard_conformer", "format=json"],
        capture_output=True,
        text=True,
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == 8
    assert not list(empty.iterdir())
