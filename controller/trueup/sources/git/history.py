"""How two commits are related, from as many commits as it takes and no more than are worth it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from trueup.model.listing import History

DEPTHS = (64, 1024, 16384)
"""Generations of commits asked for, one after the other, until the relation is known."""
_SLACK = 86400
"""Seconds by which clocks of committers may differ: what is older than that than a commit is no descendant of it."""
_KEPT = 50_000


@dataclass(slots=True)
class Graph:
    """Commits and their parents, as far as they are known.

    Attributes:
        commits: the time of each commit, and its parents.
    """

    commits: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)

    def add(self, commits: Mapping[str, tuple[int, tuple[str, ...]]]) -> None:
        """Learn of commits; beyond a bound the earlier ones are forgotten, which costs asking again."""
        if len(self.commits) + len(commits) > _KEPT:
            self.commits.clear()
        self.commits.update(commits)

    def descends(self, commit: str, ancestor: str) -> bool | None:
        """Whether `ancestor` is `commit` or an ancestor of it; None if more commits must be known to tell."""
        floor = self.commits[ancestor][0] - _SLACK if ancestor in self.commits else None
        seen, left, unsure = {commit}, [commit], False
        while left:
            at = left.pop()
            if at == ancestor:
                return True
            known = self.commits.get(at)
            if known is None:
                unsure = True
                continue
            if floor is not None and known[0] < floor:
                continue
            for parent in known[1]:
                if parent not in seen:
                    seen.add(parent)
                    left.append(parent)
        return None if unsure else False

    def relation(self, previous: str, commit: str) -> History | None:
        """How `commit` relates to `previous`; None if more commits must be known to tell."""
        forward = self.descends(commit, previous)
        if forward:
            return History.FORWARD
        older = self.descends(previous, commit)
        if older:
            return History.OLDER
        return None if forward is None or older is None else History.REWRITTEN

    def load(self, path: Path) -> None:
        """Read what `save` wrote; nothing if it is not there or damaged: it can be asked for again."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            self.commits = {sha: (int(time), tuple(parents)) for sha, (time, parents) in json.loads(path.read_text()).items()}

    def save(self, path: Path) -> None:
        """Write it beside the cache."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.commits))
        fresh.replace(path)


def relate(graph: Graph, previous: str, commit: str, learn: Callable[[int], None]) -> History:
    """The relation of two commits, with `learn` called for deeper and deeper history while it is not known.

    If it cannot be told at all, the earlier commit is none that the origin still stands by: Rewritten.
    """
    known = graph.relation(previous, commit)
    for depth in DEPTHS:
        before = len(graph.commits)
        if known is None:
            learn(depth)
            known = graph.relation(previous, commit)
        if len(graph.commits) == before:
            break  # known, or there is no more to learn
    return known or History.REWRITTEN
