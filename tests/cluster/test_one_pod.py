"""The main job with kubectl, in the one-pod form: operator and gate in one process, each act a person's or an agent's."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.parts import Part, ask, call, eventually, running, source, texts
from tests.controlplane import ControlPlane, KubectlError

SERVED = "--for=condition=Ready"


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder below which sources may lie."""
    return tmp_path_factory.mktemp("roots")


@pytest.fixture(scope="module")
def pod(joined: ControlPlane, roots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    home = tmp_path_factory.mktemp("pod") / "home"
    with running(joined, home, "trueup-operator", "operator", "--with-gate", TRUEUP_ALLOW_ROOTS=str(roots)) as part:
        yield part


@pytest.fixture
def docs(roots: Path) -> Path:
    """A folder of the test's own with one document."""
    folder = roots / uuid.uuid4().hex[:8]
    folder.mkdir()
    (folder / "a.md").write_text("# Alpha\n\nThe word is kumquat-7781.\n")
    return folder


@pytest.fixture
def agent(joined: ControlPlane, namespace: str) -> str:
    """A token of the service account `agent` in the test's namespace, as `kubectl create token` makes it."""
    joined.as_service_account(namespace, "agent")
    return joined.token(namespace, "agent", "trueup")


def ready(plane: ControlPlane, namespace: str, name: str = "docs") -> None:
    plane.kubectl("wait", SERVED, f"ctxsrc/{name}", f"--namespace={namespace}", "--timeout=30s")


def condition(plane: ControlPlane, namespace: str, type_: str, name: str = "docs") -> dict[str, Any] | None:
    found = plane.get("ctxsrc", name, f"--namespace={namespace}")["status"]["conditions"]
    return next((c for c in found if c["type"] == type_), None)


def patch(plane: ControlPlane, namespace: str, change: dict[str, Any], name: str = "docs", **more: Any) -> None:
    plane.kubectl("patch", "ctxsrc", name, f"--namespace={namespace}", "--type=merge", "-p", json.dumps(change), **more)


def test_apply_ask_edit_delete(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """P01, P05, P15: what is declared is served, what changes is what is served, what is deleted is gone when kubectl returns."""
    joined.apply(source(namespace, "docs", docs))
    ready(joined, namespace)
    answer = ask(pod.url(), agent, "kumquat-7781")
    assert "kumquat-7781" in texts(answer)
    assert answer["results"][0]["provenance"][0]["source"] == f"{namespace}/docs"
    (docs / "a.md").write_text("# Alpha\n\nThe word is papaya-3310.\n")
    eventually(lambda: "papaya-3310" in texts(ask(pod.url(), agent, "papaya-3310")))
    assert "kumquat-7781" not in texts(ask(pod.url(), agent, "kumquat-7781"))
    joined.kubectl("delete", "ctxsrc", "docs", f"--namespace={namespace}", "--timeout=20s")
    assert ask(pod.url(), agent, "papaya-3310")["results"] == []


def test_get_watches_the_table_fill(joined: ControlPlane, pod: Part, docs: Path, namespace: str) -> None:
    """`kubectl get ctxsrc -w` shows the source become Ready, in the columns of the design."""
    command = [str(joined.parts.kubectl), "get", "ctxsrc", "-w", f"--namespace={namespace}", "--request-timeout=20s"]
    with subprocess.Popen(command, env=joined.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watch:
        try:
            joined.apply(source(namespace, "docs", docs))
            assert watch.stdout is not None
            seen = []
            for line in watch.stdout:
                seen.append(line.split())
                if line.startswith("docs") and line.split()[1:5] == ["Directory", "True", "True", "1"]:
                    break
        finally:
            watch.kill()
    assert seen[0][:6] == ["NAME", "TYPE", "READY", "FRESH", "DOCS", "TOMBSTONES"]
    assert seen[-1][1:5] == ["Directory", "True", "True", "1"]


def test_describe_tells_what_happened(joined: ControlPlane, pod: Part, docs: Path, namespace: str) -> None:
    """Events on transitions only, on the resource itself, and no second one of the same."""
    joined.apply(source(namespace, "docs", docs))
    ready(joined, namespace)
    docs.rename(docs.with_suffix(".away"))
    eventually(lambda: (condition(joined, namespace, "FetchFailed") or {}).get("status") == "True")
    assert condition(joined, namespace, "Fresh")["status"] == "True"  # type: ignore[index]
    docs.with_suffix(".away").rename(docs)
    eventually(lambda: condition(joined, namespace, "FetchFailed") is None)

    def reasons() -> list[str]:
        events = joined.get("events", f"--namespace={namespace}")["items"]
        return [e["reason"] for e in sorted(events, key=lambda e: int(e["metadata"]["name"].rpartition(".")[2]))]

    eventually(lambda: "Recovered" in reasons())
    assert reasons() == ["Fetched", "FetchFailed", "Recovered"]
    assert "FetchFailed" in joined.kubectl("describe", "ctxsrc", "docs", f"--namespace={namespace}")


def test_a_narrowed_selection_acts_at_once(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """P16: what `exclude` leaves out is gone, and observedGeneration says for which generation Ready speaks."""
    (docs / "drafts").mkdir()
    (docs / "drafts" / "d.md").write_text("The draft word is lychee-5522.\n")
    joined.apply(source(namespace, "docs", docs))
    ready(joined, namespace)
    assert "lychee-5522" in texts(ask(pod.url(), agent, "lychee-5522"))
    patch(joined, namespace, {"spec": {"exclude": ["drafts/"]}})
    eventually(lambda: "lychee-5522" not in texts(ask(pod.url(), agent, "lychee-5522")))
    eventually(lambda: joined.get("ctxsrc", "docs", f"--namespace={namespace}")["status"]["observedGeneration"] == 2)
    assert "kumquat-7781" in texts(ask(pod.url(), agent, "kumquat-7781"))


def test_suspend_stops_looks_and_not_access(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """A suspended source is looked at no more and says so; narrowing its readers acts all the same."""
    joined.apply(source(namespace, "docs", docs))
    ready(joined, namespace)
    patch(joined, namespace, {"spec": {"suspend": True}})
    eventually(lambda: (condition(joined, namespace, "Suspended") or {}).get("status") == "True")
    (docs / "b.md").write_text("The word is medlar-9917.\n")
    patch(joined, namespace, {"spec": {"access": {"readers": []}}})
    eventually(lambda: ask(pod.url(), agent, "kumquat-7781")["results"] == [])
    patch(joined, namespace, {"spec": {"suspend": False, "access": {"readers": [{"kind": "Everyone"}]}}})
    eventually(lambda: "medlar-9917" in texts(ask(pod.url(), agent, "medlar-9917")))
    assert condition(joined, namespace, "Suspended") is None


def test_requested_at_reconciles_now(joined: ControlPlane, pod: Part, docs: Path, namespace: str) -> None:
    """The annotation makes a source due that is looked at once an hour, and is echoed once a look that began after it has ended."""
    joined.apply(source(namespace, "docs", docs, interval="1h"))
    ready(joined, namespace)
    joined.kubectl("annotate", "ctxsrc", "docs", f"--namespace={namespace}", "trueup.dev/requestedAt=now-1")
    eventually(lambda: joined.get("ctxsrc", "docs", f"--namespace={namespace}")["status"].get("lastHandledReconcileAt") == "now-1")


def test_a_held_deletion_is_confirmed_by_annotation(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """P35: an emptied source is hidden at once and erased only by the annotation with that very observation."""
    joined.apply(source(namespace, "docs", docs))
    ready(joined, namespace)
    (docs / "a.md").unlink()
    eventually(lambda: ask(pod.url(), agent, "kumquat-7781")["results"] == [])
    held = eventually(lambda: joined.get("ctxsrc", "docs", f"--namespace={namespace}")["status"].get("heldDeletion"))
    joined.kubectl("annotate", "ctxsrc", "docs", f"--namespace={namespace}", "trueup.dev/confirmDeletion=another")
    joined.kubectl("annotate", "ctxsrc", "docs", f"--namespace={namespace}", "trueup.dev/requestedAt=after")
    eventually(lambda: joined.get("ctxsrc", "docs", f"--namespace={namespace}")["status"].get("lastHandledReconcileAt") == "after")
    assert joined.get("ctxsrc", "docs", f"--namespace={namespace}")["status"]["heldDeletion"] == held
    joined.kubectl("annotate", "ctxsrc", "docs", f"--namespace={namespace}", "--overwrite", f"trueup.dev/confirmDeletion={held['observation']}")
    eventually(lambda: "heldDeletion" not in joined.get("ctxsrc", "docs", f"--namespace={namespace}")["status"])


def test_a_resource_whose_source_is_out_of_reach_goes(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """P15: deleting asks the source nothing; `policy: Retain` releases the object as well."""
    joined.apply(source(namespace, "docs", docs, deletion={"policy": "Retain"}))
    ready(joined, namespace)
    docs.rename(docs.with_suffix(".away"))
    joined.kubectl("delete", "ctxsrc", "docs", f"--namespace={namespace}", "--timeout=20s")
    assert ask(pod.url(), agent, "kumquat-7781")["results"] == []


def test_a_stripped_finalizer_leaves_nothing_behind(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """An object that goes without `on.delete` is dead as well: its last event says so."""
    joined.apply(source(namespace, "docs", docs))
    ready(joined, namespace)
    assert "kumquat-7781" in texts(ask(pod.url(), agent, "kumquat-7781"))
    # Both in one request, so that the operator has no time to put it back or to be asked.
    found = joined.get("ctxsrc", "docs", f"--namespace={namespace}")
    joined.kubectl("delete", "ctxsrc", "docs", f"--namespace={namespace}", "--wait=false")
    with_none = {"metadata": {"finalizers": None, "resourceVersion": None}}
    try:
        patch(joined, namespace, with_none)
    except KubectlError:
        assert found  # the operator was quicker
    eventually(lambda: ask(pod.url(), agent, "kumquat-7781")["results"] == [])


def test_readers_of_kind_rbac(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """A07: the cluster's own authorizer admits with the verb `retrieve` and with nothing less, and no longer once unbound."""
    joined.apply(source(namespace, "docs", docs, access={"readers": [{"kind": "RBAC"}]}))
    ready(joined, namespace)
    assert ask(pod.url(), agent, "kumquat-7781")["results"] == []
    joined.kubectl("create", "rolebinding", "reads", "--clusterrole=view", f"--serviceaccount={namespace}:agent", f"--namespace={namespace}")
    joined.kubectl("create", "rolebinding", "retrieves", "--clusterrole=trueup-agent", f"--serviceaccount={namespace}:agent", f"--namespace={namespace}")
    eventually(lambda: "kumquat-7781" in texts(ask(pod.url(), agent, "kumquat-7781")))
    joined.kubectl("delete", "rolebinding", "retrieves", f"--namespace={namespace}")
    eventually(lambda: ask(pod.url(), agent, "kumquat-7781")["results"] == [], 15)


def test_only_tokens_for_this_audience(joined: ControlPlane, pod: Part, namespace: str, agent: str) -> None:
    """A31, A08: a token for the API server or for somebody else opens nothing here, nor does a forged one."""
    others = [joined.token(namespace, "agent"), joined.token(namespace, "agent", "somebody"), agent[:-4] + "AAAA", "x", "x.y.z"]
    assert [call(f"{pod.url()}/v1/retrieve", "POST", {"query": "x"}, token)[0] for token in others] == [401] * len(others)
    assert call(f"{pod.url()}/v1/retrieve", "POST", {"query": "x"}, agent)[0] == 200


def test_a_deleted_account_is_refused(joined: ControlPlane, pod: Part, namespace: str, agent: str) -> None:
    """A07: what Kubernetes keeps, and the gate on top of it, is over within 15 s."""
    assert call(f"{pod.url()}/v1/retrieve", "POST", {"query": "x"}, agent)[0] == 200
    joined.kubectl("delete", "serviceaccount", "agent", f"--namespace={namespace}")
    eventually(lambda: call(f"{pod.url()}/v1/retrieve", "POST", {"query": "x"}, agent)[0] == 401, 16)


def test_resources_are_kubectls(pod: Part, agent: str) -> None:
    """The embedded profile's way to declare does not exist in a cluster."""
    for method, path in (("GET", "contextsources"), ("PUT", "contextsources/default/x"), ("DELETE", "contextsources/default/x")):
        assert call(f"{pod.url()}/v1/resources/{path}", method, {} if method == "PUT" else None, agent)[0] == 404


def test_a_path_outside_the_roots_is_told(joined: ControlPlane, pod: Part, tmp_path: Path, namespace: str) -> None:
    """A24, A29: a misconfigured source says so on the resource, and is Stalled."""
    joined.apply(source(namespace, "docs", tmp_path))
    found = eventually(lambda: condition(joined, namespace, "Stalled"))
    assert "outside the allowed roots" in found["message"]
    joined.kubectl("wait", "--for=condition=Stalled", "ctxsrc/docs", f"--namespace={namespace}", "--timeout=5s")


def test_a_tenant_cannot_write_status(joined: ControlPlane, pod: Part, docs: Path, namespace: str) -> None:
    """A33: who may edit sources cannot pose as the controller."""
    tenant = joined.as_service_account(namespace, "tenant")
    joined.kubectl("create", "rolebinding", "edits", "--clusterrole=edit", f"--serviceaccount={namespace}:tenant", f"--namespace={namespace}")
    eventually(lambda: joined.can("create", "contextsources.trueup.dev", namespace, as_=tenant))
    joined.apply(source(namespace, "docs", docs), as_=tenant)
    ready(joined, namespace)
    with pytest.raises(KubectlError, match="forbidden"):
        joined.kubectl(
            "patch", "ctxsrc", "docs", f"--namespace={namespace}", "--subresource=status", "--type=merge", "-p", '{"status":{"chunks":9}}', as_=tenant
        )


def test_an_index_is_declared_and_used(joined: ControlPlane, pod: Part, docs: Path, namespace: str, agent: str) -> None:
    """A source that names an index which is not there says so; once it is applied both become Ready."""
    joined.apply(source(namespace, "docs", docs, indexRef={"name": "quick"}))
    eventually(lambda: condition(joined, namespace, "Stalled"))
    spec = {"embedding": {"provider": "Hash", "dimensions": 64}, "mode": "Hybrid"}
    joined.apply({"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextIndex", "metadata": {"name": "quick", "namespace": namespace}, "spec": spec})
    joined.kubectl("wait", SERVED, "ctxidx/quick", f"--namespace={namespace}", "--timeout=20s")
    ready(joined, namespace)
    assert "kumquat-7781" in texts(ask(pod.url(), agent, "kumquat-7781"))


def test_a_configmap_is_a_source(joined: ControlPlane, pod: Part, namespace: str, agent: str) -> None:
    """Each key is a document; a change is seen by watch, long before the interval; the tenant's binding is what allows it."""
    kind = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "runbook", "namespace": namespace}}
    joined.apply(kind | {"data": {"restart.md": "Drain first: guava-1204.\n"}})
    made = source(namespace, "docs", Path("/unused"), source={"type": "ConfigMap", "configMap": {"name": "runbook"}}, interval="2s")
    joined.apply(made)
    eventually(lambda: "trueup-source-reader" in (condition(joined, namespace, "Ready") or {}).get("message", ""))
    subject = "--serviceaccount=trueup-system:trueup-operator"
    joined.kubectl("create", "rolebinding", "reads", "--clusterrole=trueup-source-reader", subject, f"--namespace={namespace}")
    ready(joined, namespace)
    assert "guava-1204" in texts(ask(pod.url(), agent, "guava-1204"))
    patch(joined, namespace, {"spec": {"interval": "1h"}})
    joined.apply(kind | {"data": {"restart.md": "Drain first: loquat-8840.\n"}})
    eventually(lambda: "loquat-8840" in texts(ask(pod.url(), agent, "loquat-8840")), 10)
    assert "guava-1204" not in texts(ask(pod.url(), agent, "guava-1204"))


def test_quiet_sources_write_nothing(joined: ControlPlane, pod: Part, roots: Path, namespace: str) -> None:
    """Once everything is Ready, passes that find nothing new write no status and ask the API server nothing but its Lease."""
    folders = [roots / f"{namespace}-{number}" for number in range(20)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "a.md").write_text(f"Nothing new in {number}.\n")
    joined.apply(*(source(namespace, f"quiet-{number}", folder) for number, folder in enumerate(folders)))
    joined.kubectl("wait", SERVED, "ctxsrc", "--all", f"--namespace={namespace}", "--timeout=40s")

    def asked() -> list[str]:
        calls = [e for e in joined.audit() if e.get("user", {}).get("username") == "system:serviceaccount:trueup-system:trueup-operator"]
        return [f"{e['verb']} {e['objectRef']['resource']}" for e in calls if namespace in e["requestURI"] and e["stage"] == "ResponseComplete"]

    before = eventually(lambda: settled(asked))
    time.sleep(5)
    assert asked() == before


def settled(asked: Any) -> list[str]:
    """What was asked, once two seconds added nothing to it."""
    before = asked()
    time.sleep(2)
    return before if asked() == before else []


def test_nobody_asked_for_more_than_a_role_gives(joined: ControlPlane, pod: Part) -> None:
    """The API server's audit log of this module: no request of ours was forbidden, but the one that a test meant to be."""
    # Tests of the policies borrow the operator's account with kubectl, in order to be refused: that is no part of ours asking.
    ours = [e for e in joined.audit() if e.get("user", {}).get("username", "").startswith("system:serviceaccount:trueup-system:")]
    calls = [e for e in ours if not e.get("userAgent", "").startswith("kubectl")]
    refused = {
        f"{e['verb']} {e['objectRef']['resource']}" for e in calls if e.get("responseStatus", {}).get("code") == 403 and "NamespaceTerm" not in json.dumps(e)
    }
    assert refused <= {"get configmaps"}
    assert calls
