"""`token`: local tokens, made from the home's keys, and their revocation."""

from __future__ import annotations

from typing import Annotated

import typer

from trueup.surfaces.cli.connection import connect
from trueup.surfaces.cli.environment import environment
from trueup.surfaces.cli.failure import Misused
from trueup.surfaces.cli.options import seconds
from trueup.surfaces.cli.owner import mint_token
from trueup.surfaces.cli.screen import line, say


def token(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Whose token it is.")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", metavar="NAME", help="A group of the user; can be repeated.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="The agent that acts for the user; it has none of the user's roles.")] = None,
    role: Annotated[list[str] | None, typer.Option("--role", metavar="operator|auditor", help="What it may do besides asking; can be repeated.")] = None,
    ttl: Annotated[str, typer.Option("--ttl", metavar="DURATION", help="How long it lives; at most 720h.")] = "1h",
) -> None:
    """Make a token and print it, and nothing else."""
    if context.invoked_subcommand is not None:
        return
    if not user:
        raise Misused("Say whose token it is: trueup token --user NAME.")
    from trueup.model.principal import Role

    words = [each.value for each in Role]
    unknown = [r for r in role or [] if r not in words]
    if unknown:
        raise Misused(f"There is no role {unknown[0]!r}: write {' or '.join(words)}.")
    print(mint_token(environment().home, user, groups=group or [], agent=agent, roles=[Role(r) for r in role or []], ttl=seconds(ttl)))


def revoke(
    jti: Annotated[str | None, typer.Argument(metavar="JTI", help="The id inside the token, or the token itself.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Every token of this user that was issued until now.")] = None,
) -> None:
    """Refuse a token, or all of a user's until now, from the next request on."""
    if bool(jti) == bool(user):
        raise Misused("Say what to revoke: either JTI, or --user NAME.")
    with connect() as api:
        api.post("/v1/revocations", {"user": user} if user else {"token": _id_of(jti or "")})
    say(f"tokens of {line(user)} issued until now are revoked" if user else "token revoked")


def _id_of(text: str) -> str:
    """The jti of a whole token, which is what people have at hand; anything else is taken as a jti."""
    import base64
    import binascii
    import json

    parts = text.split(".")
    if len(parts) != 3:
        return text
    try:
        return str(json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))["jti"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise Misused("That is neither the id of a token nor a token.") from None
