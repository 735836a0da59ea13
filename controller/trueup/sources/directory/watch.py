"""Hints from inotify. They say where to look, never what is there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from trueup.model.listing import WHOLE, Hint
from trueup.sources.directory.inotify import Inotifies, Observer
from trueup.sources.naming import encode

_log = structlog.get_logger(__name__)

# What can change a document. Opening and reading are left out, or our own reads would hint for ever; so is the change of
# a folder's entries, which comes with the event of the entry itself.
_EVENTS: list[type[FileSystemEvent]] = [
    *(DirAttribEvent, DirCreatedEvent, DirDeletedEvent, DirMovedEvent),
    *(FileAttribEvent, FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent),
]


class DirectoryWatch(FileSystemEventHandler):
    """A running watch over a folder tree."""

    def __init__(self, root: Path, forbidden: tuple[Path, ...], hint: Callable[[Hint], None], inotifies: Inotifies) -> None:
        self._root = os.fsencode(root)
        self._forbidden = tuple(os.fsencode(folder) for folder in forbidden)
        self._hint = hint
        self._closed = False
        self._complete = True
        self._saying = threading.RLock()  # held while a hint is given, so that none is given once `close` returned
        status = root.stat()
        self._place = (status.st_dev, status.st_ino)
        self._observer = Observer(inotifies, self._root, self._lost)

    @classmethod
    def start(cls, root: Path, forbidden: tuple[Path, ...], hint: Callable[[Hint], None], inotifies: Inotifies | None = None) -> DirectoryWatch | None:
        """Watch `root`; None if the system refuses, which is logged.

        `hint` is called from the watch's own thread, one call at a time, and must return soon. `inotifies` are the instances
        that all watches of the process share; without them the watch has one of its own.
        """
        watch = None
        try:
            watch = cls(root, forbidden, hint, inotifies or Inotifies())
            watch._observer.schedule(watch, str(root), recursive=True, event_filter=_EVENTS)
            watch._observer.start()
        except OSError as error:
            _log.warning("directory not watched; its interval alone decides", cause=error.strerror or type(error).__name__)
            if watch is not None:
                watch.close()
            return None
        if not watch._complete:
            _log.warning("directory not watched; its interval alone decides", cause="inotify watch limit reached")
            watch.close()
            return None
        return watch

    @property
    def alive(self) -> bool:
        """Whether everything below the root is still watched, and the root is still where it was."""
        if self._closed or not self._complete or not self._observer.is_alive():
            return False
        if not all(emitter.is_alive() for emitter in self._observer.emitters):
            return False
        try:
            status = os.lstat(self._root)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._place

    def close(self) -> None:
        """Stop. May be called from within a hint."""
        with self._saying:
            if self._closed:
                return
            self._closed = True
        self._observer.stop()
        if self._observer.is_alive() and threading.current_thread() is not self._observer:
            self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """An event of watchdog's: a hint for the place, or both places, that it is about."""
        prefixes = {self._prefix(os.fsencode(path)) for path in (event.src_path, event.dest_path) if path}
        prefixes.discard(None)
        if prefixes:
            self._say(Hint(tuple(sorted(prefix for prefix in prefixes if prefix is not None))))

    def _prefix(self, path: bytes) -> str | None:
        """The uri of an event's path; None for one in the home, whose own writing must not make its neighbours due."""
        if any(path == folder or path.startswith(folder + b"/") for folder in self._forbidden):
            return None
        if path == self._root:
            return WHOLE
        return encode(path[len(self._root.rstrip(b"/")) + 1 :])

    def _lost(self) -> None:
        """Events were or will be lost: a look at everything makes up for it, and a new watch may do better."""
        self._complete = False
        self._say(Hint())

    def _say(self, hint: Hint) -> None:
        with self._saying:
            if not self._closed:
                self._hint(hint)
