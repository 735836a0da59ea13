"""The Kubernetes API as a handful of verbs over JSON, on the official client's configuration, authentication and connections."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import OpenApiException
from kubernetes.config.config_exception import ConfigException

from trueup.errors import ClusterError, ClusterForbidden, ObjectConflict, ObjectGone

Object = dict[str, Any]
"""A Kubernetes object, or an answer about one."""

TIMEOUT = (5.0, 15.0)
"""Seconds to connect, and to wait for an answer."""
PAGE = 500
"""Objects in one page of a list: what kubectl asks for."""
_CONNECTIONS = 32
"""Kept open to the API server: the gate asks it from many threads."""
_MOST = 300
"""Characters of an API server's sentence that are passed on."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach the API server, for a client that makes connections of its own. Files are named, not read."""

    server: str
    authority: str | None
    verify: bool
    token: str | None = field(repr=False, default=None)
    certificate: str | None = None
    key: str | None = None


class Api:
    """A connection to the API server, safe from many threads."""

    def __init__(self, configuration: client.Configuration) -> None:
        configuration.connection_pool_maxsize = _CONNECTIONS
        # Retries are the callers' own: each knows how long its work may wait.
        configuration.retries = False
        self._client = client.ApiClient(configuration)
        self._host = str(configuration.host).rstrip("/")

    @classmethod
    def connect(cls) -> Api:
        """By KUBECONFIG where it is set, else by the pod's service account, whose token is read again as it is renewed.

        Raises:
            ClusterError: neither leads to a cluster.
        """
        made = client.Configuration()
        try:
            if os.environ.get("KUBECONFIG"):
                config.load_kube_config(client_configuration=made)  # type: ignore[no-untyped-call, unused-ignore]
            else:
                config.load_incluster_config(client_configuration=made)  # type: ignore[no-untyped-call, unused-ignore]
        except (ConfigException, OSError, ValueError) as error:
            raise ClusterError(why=f"no cluster is configured ({type(error).__name__}); set KUBECONFIG, or run in a pod with a service account") from error
        return cls(made)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()  # type: ignore[no-untyped-call, unused-ignore]

    def credentials(self) -> Credentials:
        """What this connection has; a service account's token as it is now."""
        made = self._client.configuration
        bearer = made.get_api_key_with_prefix("BearerToken") or made.get_api_key_with_prefix("authorization")
        # A kubeconfig's begins with "Bearer", a pod's with "bearer".
        token = str(bearer).rpartition(" ")[2] if bearer else None
        return Credentials(self._host, made.ssl_ca_cert, bool(made.verify_ssl), token, made.cert_file, made.key_file)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """The object at `path`.

        Raises:
            ObjectGone: there is none.
            ClusterError: it could not be read.
        """
        return self._request("GET", path, query)

    def items(self, path: str) -> list[Object]:
        """Every object of the list at `path`, of one moment, page by page.

        Raises:
            ClusterError: the list could not be read to its end.
        """
        found: list[Object] = []
        after = ""
        while True:
            page = self._request("GET", path, {"limit": str(PAGE)} | ({"continue": after} if after else {}))
            # In a list, items leave out what the list says for all of them.
            kind = {"apiVersion": page["apiVersion"], "kind": str(page["kind"]).removesuffix("List")}
            found += [kind | item for item in page.get("items") or ()]
            after = page.get("metadata", {}).get("continue", "")
            if not after:
                return found

    def create(self, path: str, body: Object) -> Object:
        """Create, or ask a review; returns the answer.

        Raises:
            ObjectConflict: there is one of this name.
            ClusterError: it was refused, or could not be asked.
        """
        return self._request("POST", path, body=body)

    def replace(self, path: str, body: Object) -> Object:
        """Replace the object; with `metadata.resourceVersion` only if it is still that one.

        Raises:
            ObjectConflict: it is not. ObjectGone: there is none. ClusterError: it could not be done.
        """
        return self._request("PUT", path, body=body)

    def patch(self, path: str, body: Object) -> Object:
        """Merge `body` into the object (RFC 7386); with `metadata.resourceVersion` only if it is still that one.

        Raises:
            ObjectConflict: it is not. ObjectGone: there is none. ClusterError: it could not be done.
        """
        return self._request("PATCH", path, body=body, content="application/merge-patch+json")

    @contextlib.contextmanager
    def watch(self, path: str, query: Mapping[str, str], seconds: int) -> Iterator[Iterator[Object]]:
        """The events of a watch, which the server ends after `seconds`.

        Raises:
            ClusterError: it could not be begun, or broke off.
        """
        asked = {**query, "watch": "true", "timeoutSeconds": str(seconds)}
        response = self._send("GET", path, asked, None, "", (TIMEOUT[0], seconds + 60.0))
        try:
            yield _events(response)
        finally:
            response.close()

    def _request(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Object | None = None, content: str = "application/json") -> Object:
        response = self._send(method, path, query, body, content, TIMEOUT)
        try:
            answer = json.loads(response.read())
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ClusterError(why=f"its answer broke off ({type(error).__name__})") from error
        if not isinstance(answer, dict):
            raise ClusterError(why="its answer was no object")
        return answer

    def _send(self, method: str, path: str, query: Mapping[str, str] | None, body: Object | None, content: str, timeout: tuple[float, float]) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "trueup"} | ({"Content-Type": content} if body is not None else {})
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        url = self._host + path + (f"?{urlencode(query)}" if query else "")
        try:
            response = self._client.call_api(method, url, headers, body, _request_timeout=timeout).response
        except (urllib3.exceptions.HTTPError, OpenApiException, OSError) as error:
            raise ClusterError(why=f"it could not be reached ({type(error).__name__})") from error
        if response.status >= 300:
            raise _refusal(response)
        return response


def _refusal(response: Any) -> ClusterError:
    try:
        said = json.loads(response.read())
        message = str(said.get("message", ""))[:_MOST]
    except (urllib3.exceptions.HTTPError, ValueError, AttributeError):
        message = ""
    match response.status:
        case 404:
            return ObjectGone()
        case 409:
            return ObjectConflict()
        case 401 | 403:
            return ClusterForbidden(why=message or f"status {response.status}")
        case _:
            return ClusterError(why=message or f"status {response.status}")


def _events(response: Any) -> Iterator[Object]:
    rest = b""
    try:
        for part in response.stream(65536):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event.get("type") == "ERROR":
                    raise ClusterError(why=str(event.get("object", {}).get("message", "a watch failed"))[:_MOST])
                yield event
    except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        raise ClusterError(why=f"a watch broke off ({type(error).__name__})") from error


def path_of(group: str, plural: str, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """The path of an object or a list: `group` is `trueup.dev/v1alpha1`, or `v1` for the core's."""
    root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return "".join((root, within, f"/{plural}", f"/{quote(name, safe='')}" if name else "", f"/{subresource}" if subresource else ""))


__all__ = ["Api", "Credentials", "Object", "path_of"]
