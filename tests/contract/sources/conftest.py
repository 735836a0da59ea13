"""The suite is shipped outside the tests, so pytest is told to explain its assertions."""

import pytest

pytest.register_assert_rewrite("trueup.testing.source_contract", "trueup.testing.source_origin")
