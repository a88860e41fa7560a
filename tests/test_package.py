"""Tests of what the package itself offers."""

import subprocess
import sys

import pytest

import allinone
from allinone.export import load


def test_the_package_offers_its_version_and_the_loading_of_a_member():
    assert allinone.load is load
    assert allinone.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="'allinone' has no attribute 'save'"):
        allinone.save  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, allinone; allinone.__version__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_runs_as_the_command():
    done = subprocess.run([sys.executable, "-m", "allinone", "--help"], capture_output=True, text=True, check=True)
    assert "usage: allinone VERB" in done.stdout
