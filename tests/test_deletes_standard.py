"""The SDK's own standard tests of tap-salesforce-deletes, against a mock org."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from localcloud.salesforce.server import serve_in_thread
from localcloud.seed import seed_org
from tap_salesforce_deletes.tap import TapSalesforceDeletes
from tests.deletes import settings_for
from tests.deletes_org import act

# The SDK asks for the address when this module is read, so an org must be there by then, and again while tests run.
_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
_org = Path(_folder.name) / "org"
seed_org(_org, events=1_500, seed=3)

with serve_in_thread(_org) as _server:
    act(_server, "create", object="Account", values={"Name": "Standard {n}"}, count=9)
    act(_server, "delete", object="Account", where="Name LIKE 'Standard%'")
    _config = settings_for(_server, _org, topics=["/data/ChangeEvents"], idle_timeout_seconds=1)
    TestStandard = get_tap_test_class(
        TapSalesforceDeletes, config=_config, suite_config=SuiteConfig(max_records_limit=50)
    )


@pytest.fixture(scope="module", autouse=True)
def served() -> Iterator[None]:
    """The org, for as long as the tests of this module run."""
    with serve_in_thread(_org) as server:
        _config.update(settings_for(server, _org))
        yield
