"""Credentials of sources: the Secret that `secretRef` names, read at each look by GET, in the source's own namespace.

Never listed, never watched, never logged. A connector gets a folder of files, which only this user can read; a rotated
Secret is in it before the next look begins.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from trueup.cluster.api import Api, path_of
from trueup.errors import ClusterError, ClusterForbidden, ObjectGone, SourceError, SourceMisconfigured, SourceUnavailable
from trueup.model.listing import Complete, Content, Hint, Item, Presence, Scope
from trueup.ports import Selection, Source, Watch


def secret_data(api: Api, namespace: str, name: str) -> dict[str, bytes]:
    """The keys and values of a Secret.

    Raises:
        SourceMisconfigured: there is none, or the operator may not read it; the message says what to do.
        SourceUnavailable: the API server could not be asked.
    """
    try:
        found = api.get(path_of("v1", "secrets", namespace, name))
        return {str(key): base64.b64decode(value, validate=True) for key, value in (found.get("data") or {}).items()}
    except ObjectGone as error:
        raise SourceMisconfigured(why=f"there is no Secret {name} in its namespace; create it, or correct the name") from error
    except ClusterForbidden as error:
        raise SourceMisconfigured(
            why=f"the operator may not read the Secret {name}; bind the ClusterRole trueup-source-reader in its namespace to the operator's service account"
        ) from error
    except (ClusterError, binascii.Error) as error:
        raise SourceUnavailable(why=f"its Secret could not be read ({type(error).__name__})") from error


class Folder:
    """The files of one source's Secret."""

    def __init__(self, place: Path, read: Callable[[], dict[str, bytes]]) -> None:
        """`read()` has the Secret as it is now."""
        self.place = place
        self._read = read
        self._held: dict[str, bytes] | None = None

    def refresh(self) -> None:
        """Make the files what the Secret is now.

        Raises:
            SourceError: it could not be read; the files stay what they were.
        """
        data = self._read()
        if data == self._held:
            return
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key in (self._held or {}).keys() - data.keys():
            (self.place / key).unlink(missing_ok=True)
        for key, value in data.items():
            draft = self.place / f"..{key}"  # no key of a Secret begins with two dots
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(value)
            draft.rename(self.place / key)
        self._held = data

    def close(self) -> None:
        """Remove the files."""
        self._held = None
        shutil.rmtree(self.place, ignore_errors=True)


class WithSecret:
    """A connector whose credentials are read anew before each look."""

    def __init__(self, folder: Folder, opened: Callable[[], Source]) -> None:
        """`opened()` makes the connector over the folder's files, once they are there."""
        self._folder = folder
        folder.refresh()
        try:
            self._source = opened()
        except SourceError:
            folder.close()
            raise

    def revision(self) -> str | None:
        """The probe, with the credentials of now."""
        self._folder.refresh()
        return self._source.revision()

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        """The listing; a part of a source is looked at without a probe before, so credentials are read here then."""
        if not scope.whole:
            self._folder.refresh()
        return self._source.observe(scope, selection, previous)

    def read(self, uri: str, version: str, limit: int) -> Content:
        """The bytes, with the credentials of the last look."""
        return self._source.read(uri, version, limit)

    def check(self, uri: str, version: str) -> Presence:
        """Whether it is still there, with the credentials of the last look."""
        return self._source.check(uri, version)

    def watch(self, hint: Callable[[Hint], None]) -> Watch | None:
        """The connector's own hints."""
        return self._source.watch(hint)

    def close(self) -> None:
        """Close the connector and remove the files."""
        self._source.close()
        self._folder.close()
