"""How a command fails: in one sentence on stderr that says what to do, and with exit code 1 or 2."""

from __future__ import annotations


class Failed(Exception):
    """What was asked was not done. Exit code 1.

    Attributes:
        status: the HTTP status that said so, or None where no server was asked.
    """

    code = 1

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Misused(Failed):
    """The command was given arguments that make no sense. Exit code 2."""

    code = 2
