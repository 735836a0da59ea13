"""Keys as payload and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.index.keys import FOREIGN, to_keys, to_payload
from trueup.model.index import Keys, PointState

KEYS = st.builds(
    Keys,
    tenant=st.text(min_size=1),
    source=st.integers(0, 2**63 - 1),
    document=st.integers(0, 2**63 - 1),
    acl=st.integers(0, 2**63 - 1),
    state=st.sampled_from(PointState),
    modified=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    folders=st.lists(st.text(), max_size=3).map(tuple),
)
WRITTEN = to_payload(Keys("team", 1, 2, 3, modified=4.0, folders=("docs",)))


@given(KEYS)
def test_survives_the_payload(keys: Keys) -> None:
    """What was written is what is read."""
    assert to_keys(to_payload(keys)) == keys


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(None, id="none"),
        pytest.param({}, id="empty"),
        pytest.param({k: v for k, v in WRITTEN.items() if k != "acl"}, id="one missing"),
        pytest.param(WRITTEN | {"text": "x"}, id="one too many"),
        pytest.param(WRITTEN | {"acl": True}, id="a boolean for a number"),
        pytest.param(WRITTEN | {"acl": "3"}, id="a string for a number"),
        pytest.param(WRITTEN | {"acl": [3]}, id="a list for a number"),
        pytest.param(WRITTEN | {"state": "LIVE"}, id="another state"),
        pytest.param(WRITTEN | {"state": ["live"]}, id="a list for the state"),
        pytest.param(WRITTEN | {"tenant": ["team", "other"]}, id="two tenants"),
        pytest.param(WRITTEN | {"modified": "4"}, id="a string for a time"),
        pytest.param(WRITTEN | {"folders": "docs"}, id="a string for folders"),
        pytest.param(WRITTEN | {"folders": [1]}, id="a number for a folder"),
    ],
)
def test_reads_what_is_not_ours_as_foreign(payload: dict | None) -> None:
    """An edited or stray payload equals no keys of the catalog, so that a sweep sees it."""
    assert to_keys(payload) == FOREIGN
