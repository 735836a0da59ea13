"""The commands, put together. Each is a function of a module of its own, which is imported only if it is typed.

Imports are most of what a short command costs: all modules with their libraries take half a second, one takes a fraction.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command's function is: `module` below this package, and its name there."""

    module: str
    function: str

    def load(self) -> object:
        """The function."""
        return getattr(importlib.import_module(f"trueup.surfaces.cli.{self.module}"), self.function)


@dataclass(frozen=True, slots=True)
class Group:
    """A command with commands below it; `bare` is what it does by itself."""

    help: str
    commands: dict[str, Command]
    bare: Command | None = None


COMMANDS: dict[str, Command | Group] = {
    "serve": Command("serve", "serve"),
    "operator": Command("cluster", "operator"),
    "gate": Command("cluster", "gate"),
    "catalog": Group("The catalog of a cluster.", {"prepare": Command("catalog", "prepare")}),
    "apply": Command("apply", "apply"),
    "get": Command("get", "get"),
    "describe": Command("describe", "describe"),
    "wait": Command("wait", "wait"),
    "reconcile": Command("wait", "reconcile"),
    "confirm": Command("wait", "confirm"),
    "delete": Command("apply", "delete"),
    "query": Command("query", "query"),
    "explain": Command("query", "explain"),
    "verify": Command("query", "verify"),
    "replay": Command("query", "replay"),
    "token": Group("Make a token and print it, or revoke one.", {"revoke": Command("tokens", "revoke")}, Command("tokens", "token")),
    "hook": Command("status", "hook"),
    "status": Command("status", "status"),
    "doctor": Command("doctor", "doctor"),
    "audit": Group("The audit log: check it, or export it.", {"verify": Command("audit", "verify"), "export": Command("audit", "export")}),
    "models": Group("Embedding models on this machine.", {"install": Command("models", "install"), "list": Command("models", "list_models")}),
    "index": Group(
        "Upkeep of the index and the home.",
        {"sweep": Command("index", "sweep"), "rebuild": Command("index", "rebuild"), "backup": Command("index", "backup")},
    ),
    "crd": Command("crd", "crd"),
}


def program(word: str | None = None) -> typer.Typer:
    """The command line; only the command `word` of it where there is one of this name."""
    app = typer.Typer(
        name="trueup",
        epilog="Variables: TRUEUP_HOME (./.trueup), TRUEUP_URL (http://127.0.0.1:8480), TRUEUP_TOKEN. Exit codes: 0 done, 1 failed, 2 wrong usage.",
        # Help and usage errors repeat what was typed: plain text interprets none of it.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    app.callback(invoke_without_command=True, no_args_is_help=True)(_top)
    for name, entry in {word: COMMANDS[word]}.items() if word in COMMANDS else COMMANDS.items():
        if isinstance(entry, Command):
            app.command(name)(entry.load())  # type: ignore[type-var]
        else:
            app.add_typer(_group(entry), name=name)
    return app


def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Keeps a vector index true to its sources, so that AI agents never read phantom content."""
    if version:
        from importlib.metadata import version as of

        print(of("trueup"))
        raise typer.Exit


def _group(entry: Group) -> typer.Typer:
    group = typer.Typer(help=entry.help, rich_markup_mode=None, no_args_is_help=entry.bare is None, invoke_without_command=entry.bare is not None)
    if entry.bare is not None:
        group.callback()(entry.bare.load())  # type: ignore[type-var]
    for name, command in entry.commands.items():
        group.command(name)(command.load())  # type: ignore[type-var]
    return group
