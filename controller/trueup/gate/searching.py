"""Search: the index of every model in reach is asked, and proposes candidates. Nothing here is believed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from trueup.errors import Denied, TrueupError
from trueup.gate.deps import Gate
from trueup.gate.reach import Reach
from trueup.gate.wish import Wish
from trueup.model.index import GenerationSpec, Hit, Question, Scope


@dataclass(frozen=True, slots=True)
class Target:
    """One index to ask: its generation, the question in that generation's vectors, and the filter."""

    generation: GenerationSpec
    question: Question
    scope: Scope
    sources: frozenset[int]


@dataclass(frozen=True, slots=True)
class Targets:
    """The indexes to ask, and why those that cannot be asked cannot, by the sources in them."""

    usable: tuple[Target, ...]
    broken: dict[int, str]


def targets(gate: Gate, reach: Reach, serving: dict[str, GenerationSpec], wish: Wish) -> Targets:
    """The question put for every index that holds an asked source.

    One index whose model cannot be loaded costs its own sources, not the answer: another tenant may own it.
    """
    by_index: dict[str, set[int]] = {}
    for source in reach.asked:
        by_index.setdefault(reach.map.sources[source].index_key, set()).add(source)
    usable: list[Target] = []
    broken: dict[int, str] = {}
    for key in sorted(by_index):
        sources = frozenset(by_index[key])
        generation = serving.get(key)
        if generation is None:
            continue
        try:
            question = gate.embedders.get(generation).ask(wish.query)
        except TrueupError as error:
            broken.update(dict.fromkeys(sources, error.reason))
            continue
        usable.append(Target(generation, question, _scope(reach, sources, wish), sources))
    if broken and not usable:
        raise Denied("No index in reach can be searched: its embedding model cannot be loaded.")
    return Targets(tuple(usable), broken)


def _scope(reach: Reach, sources: frozenset[int], wish: Wish) -> Scope:
    return Scope(
        tenants=frozenset(reach.map.sources[source].namespace for source in sources),
        acls=reach.slots_of(sources),
        sources=None if wish.sources is None else sources,
        folders=wish.folders(),
        modified_after=wish.modified_after,
    )


def without(target: Target, points: Collection[str], sources: Collection[int]) -> Target:
    """The same search for a second round: not these points, and nothing of these sources."""
    scope = replace(target.scope, without=target.scope.without | frozenset(points))
    if not target.sources.isdisjoint(sources):
        scope = replace(scope, sources=target.sources - frozenset(sources))
    return replace(target, scope=scope, sources=target.sources - frozenset(sources))


def search(gate: Gate, target: Target, limit: int) -> list[Hit]:
    """The best `limit` candidates of one index, best first.

    Raises:
        Denied: the index did not answer.
    """
    try:
        return gate.index.search(target.generation, target.question, target.scope, limit)
    except TrueupError as error:
        raise Denied("The index did not answer. Try again later.") from error
