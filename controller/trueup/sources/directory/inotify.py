"""inotify instances, shared by the watches of a process: a system gives a user 128 of them by default."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable

from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback, WatchDescriptor

MOST = 16
"""Instances of one process. Each has a queue and a thread of its own, so up to as many roots no busy one delays another."""

Lost = Callable[[], None]


class Inotify(InotifyFD):
    """One instance that tells those it serves when events were lost: the queue ran over, or a folder could not be watched."""

    def __init__(self) -> None:
        super().__init__()
        self.served: dict[object, tuple[bytes, Lost]] = {}
        """By user: its root, and what it is told with."""

    def handle_event(self, event: InotifyEvent) -> None:
        """As the base does, and lost events are told."""
        super().handle_event(event)
        if event.is_queue_overflow:
            self._tell(None)

    def _tell(self, root: bytes | None) -> None:
        """Tell whoever watches `root`, or everybody."""
        for its_root, lost in tuple(self.served.values()):
            if root is None or its_root == root:
                lost()

    def _add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        # The base warns where one folder is met twice, by its event and by walking its parent; that is no fault. It also
        # takes a folder it may not watch (-1) for watched.
        try:
            watch = self._get_or_create_watch(path, mask)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                self._tell(getattr(callback, "path", None))
            raise
        if watch.wd == -1:
            self._watch_for_wd.pop(watch.wd, None)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        watch.callbacks[id_] = callback
        return watch.wd


class Inotifies:
    """The instances of a process: opened as they are needed, and shared once there are `most` or the system gives no more."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: list[Inotify] = []

    def take(self, user: object, root: bytes, lost: Lost) -> Inotify:
        """The least used instance, a new one while there may be more; `lost` is called when events were or will be lost.

        Raises:
            OSError: the system gives not even one.
        """
        with self._lock:
            if len(self._open) < self._most:
                try:
                    made = Inotify()
                except OSError:
                    if not self._open:
                        raise
                else:
                    made.start()
                    self._open.append(made)
            chosen = min(self._open, key=lambda inotify: len(inotify.served))
            chosen.served[user] = (root, lost)
            return chosen

    def give_back(self, user: object, inotify: Inotify) -> None:
        """`user` watches no more; an instance that nobody uses is closed."""
        with self._lock:
            inotify.served.pop(user, None)
            idle = not inotify.served and inotify in self._open
            if idle:
                self._open.remove(inotify)
        if idle:
            inotify.stop()
            if threading.current_thread() is not inotify:
                inotify.join()


class Observer(BaseObserver):
    """What watchdog calls an observer, over an instance that it may share."""

    def __init__(self, inotifies: Inotifies, root: bytes, lost: Lost) -> None:
        self._inotifies = inotifies
        self._inotify = inotifies.take(self, root, lost)
        super().__init__(InotifyEmitter, inotify_fd=self._inotify)

    def on_thread_stop(self) -> None:
        """Let go of the instance with the last event."""
        super().on_thread_stop()
        self._inotifies.give_back(self, self._inotify)
