"""Readers of kind RBAC: on which sources the cluster's own authorizer lets a caller `retrieve`.

Asked only where a source names that kind of reader, a namespace at a time where it is granted there, a source at a time
else. What cannot be asked is not granted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

import structlog

from trueup.cluster.api import Api, path_of
from trueup.errors import ClusterError
from trueup.gate.cluster.kept import Kept
from trueup.model.principal import Caller
from trueup.ports import Clock

log = structlog.get_logger(__name__)

VERB = "retrieve"
KEPT = 5.0
"""Seconds that an answer is believed."""
_AT_ONCE = 8
_MOST = 65_536


class AccessReviews:
    """Asks the API server what callers may retrieve."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._kept: Kept[bool] = Kept(clock, KEPT, _MOST)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="access-review")

    def allowed(self, caller: Caller, sources: Collection[str]) -> frozenset[str]:
        """Those of `sources` (`namespace/name`) that `caller` may retrieve."""
        by_namespace: dict[str, list[str]] = {}
        for key in sources:
            namespace, _, name = key.partition("/")
            by_namespace.setdefault(namespace, []).append(name)
        whole = set(self._granted(caller, [(namespace, "") for namespace, names in by_namespace.items() if len(names) > 1]))
        single = [(namespace, name) for namespace, names in by_namespace.items() if (namespace, "") not in whole for name in names]
        granted = set(self._granted(caller, single))
        return frozenset(key for key in sources if (key.partition("/")[0], "") in whole or (key.partition("/")[0], key.partition("/")[2]) in granted)

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _granted(self, caller: Caller, places: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
        ask: Callable[[tuple[str, str]], bool] = lambda place: self._may(caller, *place)  # noqa: E731 - a function of two places
        answers = map(ask, places) if len(places) < 2 else self._pool.map(ask, places)
        return [place for place, granted in zip(places, answers, strict=True) if granted]

    def _may(self, caller: Caller, namespace: str, name: str) -> bool:
        user = f"system:serviceaccount:{caller.service_account[0]}:{caller.service_account[1]}" if caller.service_account else caller.user
        groups = sorted(caller.groups)
        try:
            return self._kept.get(json.dumps([user, groups, namespace, name]), lambda: self._ask(user, groups, namespace, name))
        except ClusterError as error:
            log.warning("access_review.failed", reason=error.reason, message=str(error))
            return False

    def _ask(self, user: str | None, groups: list[str], namespace: str, name: str) -> bool:
        attributes = {"verb": VERB, "group": "trueup.dev", "version": "v1alpha1", "resource": "contextsources", "namespace": namespace, "name": name}
        asked = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
        }
        status = self._api.create(path_of("authorization.k8s.io/v1", "subjectaccessreviews"), asked).get("status") or {}
        return status.get("allowed") is True and status.get("denied") is not True
