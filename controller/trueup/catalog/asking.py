"""Questions of gates to sources, where the gate runs apart from the controller: a row and a word, one flight a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trueup.catalog.announcing import ASKED, answered
from trueup.catalog.store import Read, Write
from trueup.model.listing import Presence

PATIENCE = 5.0
"""Seconds after which nobody waits for an answer any more, as at the gate (`ASK_AT_MOST`)."""

KEPT = 60.0
"""Seconds for which a question is kept after it was asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whether the document `uri` of the source with catalog id `source` is still there at `version`."""

    id: int
    source: int
    uri: str
    version: str
    asked_at: float


_ASK = sa.text(
    "INSERT INTO ask (source_id, uri, version, asked_at) VALUES (:source, :uri, :version, :now) "
    "ON CONFLICT (source_id, uri, version) WHERE taken_at IS NULL DO UPDATE SET asked_at = excluded.asked_at RETURNING id"
)
_WAITING = sa.text("SELECT id, source_id, uri, version, asked_at FROM ask WHERE taken_at IS NULL AND asked_at > :after ORDER BY id LIMIT :limit")
_TAKE = sa.text("UPDATE ask SET taken_at = :now WHERE id IN :ids AND taken_at IS NULL RETURNING id").bindparams(sa.bindparam("ids", expanding=True))
_ANSWER = sa.text("UPDATE ask SET answered_at = :now, presence = :presence WHERE id = :id")
_ANSWERS = sa.text("SELECT presence FROM ask WHERE id = :id AND answered_at IS NOT NULL")
_TRIM = sa.text("DELETE FROM ask WHERE asked_at < :before")


def ask(tx: Write, source: int, uri: str, version: str) -> int:
    """Ask, or join a question that nobody has gone to answer yet; returns its id.

    So whatever is answered was found out after this commit.
    """
    tx.holding = True
    question = int(tx.run(_ASK, {"source": source, "uri": uri, "version": version, "now": tx.now}).scalar_one())
    tx.announce(ASKED)
    return question


def pending(read: Read, now: float, limit: int = 256) -> list[Question]:
    """Questions that nobody has gone to answer and somebody still waits for, oldest first."""
    return [Question(*row) for row in read.rows(_WAITING, {"after": now - PATIENCE, "limit": limit})]


def take(tx: Write, questions: Sequence[Question]) -> list[Question]:
    """Go to answer `questions`; returns those that no other controller has gone for."""
    if not questions:
        return []
    mine = {int(row[0]) for row in tx.run(_TAKE, {"ids": [question.id for question in questions], "now": tx.now})}
    return [question for question in questions if question.id in mine]


def answer(tx: Write, question: int, presence: Presence | None) -> None:
    """Give the answer; None: the source said nothing in time."""
    tx.run(_ANSWER, {"id": question, "presence": None if presence is None else presence.value, "now": tx.now})
    tx.announce(answered(question))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question; `presence` None: the source said nothing."""

    presence: Presence | None


def answer_to(read: Read, question: int) -> Answer | None:
    """The answer, or None while there is none."""
    row = read.row(_ANSWERS, {"id": question})
    return None if row is None else Answer(None if row[0] is None else Presence(row[0]))


def trim(tx: Write) -> int:
    """Forget old questions; returns how many."""
    return int(tx.run(_TRIM, {"before": tx.now - KEPT}).rowcount)
