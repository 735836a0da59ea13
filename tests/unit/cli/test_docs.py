"""docs/cli.md and the program say the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.unit.cli.conftest import Ended
from trueup.surfaces.cli.program import COMMANDS, Command, Group

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
SYNOPSES = re.findall(r"^    trueup (.*)$", PAGE, re.MULTILINE)


def paths() -> set[tuple[str, ...]]:
    """Every command that can be typed."""
    found: set[tuple[str, ...]] = set()
    for name, entry in COMMANDS.items():
        if isinstance(entry, Command) or entry.bare is not None:
            found.add((name,))
        if isinstance(entry, Group):
            found |= {(name, word) for word in entry.commands}
    return found


def path_of(synopsis: str) -> tuple[str, ...]:
    """The command that a synopsis is of."""
    words = synopsis.split()
    entry = COMMANDS[words[0]]
    return tuple(words[:2]) if isinstance(entry, Group) and words[1:] and words[1] in entry.commands else (words[0],)


def test_every_command_has_a_synopsis_and_no_other() -> None:
    """A command that is added must be described, one that is removed must go from the page."""
    assert {path_of(s) for s in SYNOPSES} == paths()


def test_every_option_of_a_synopsis_is_one_of_its_command(trueup: Callable[..., Ended]) -> None:
    """No synopsis promises an option that the command does not take."""
    for synopsis in SYNOPSES:
        text = trueup(*path_of(synopsis), "--help").out
        for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", synopsis):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), (synopsis, option)
