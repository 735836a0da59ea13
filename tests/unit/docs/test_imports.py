"""The layers of the house, as a failing test and not a drawing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([Path(sys.executable).with_name("lint-imports"), "--config", config, "--no-cache"], capture_output=True, text=True, check=False)


def test_imports_run_one_way():
    """No package imports what lies above it, and each client library has one importer."""
    result = lint(ROOT / "pyproject.toml")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("there", "instead", "broken"),
    [
        ('    "trueup.catalog.** -> sqlalchemy",\n', "", "Each client library has one importer BROKEN"),
        ('    "trueup.decide | trueup.ports",\n    "trueup.model",\n', '    "trueup.model",\n    "trueup.decide | trueup.ports",\n', "Imports run one way"),
    ],
    ids=["a second importer", "the other way round"],
)
def test_the_contracts_can_break(tmp_path, there, instead, broken):
    """The contracts are read and enforced: with one line of them changed, the same code is refused."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert there in text
    changed = tmp_path / "pyproject.toml"
    changed.write_text(text.replace(there, instead), "utf-8")
    result = lint(changed)
    assert result.returncode == 1
    assert broken in result.stdout
