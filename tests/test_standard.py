"""The SDK's own standard tests of a tap, against a mock org."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from localcloud.salesforce.server import serve_in_thread
from localcloud.seed import seed_org
from tap_salesforce_temporal.tap import TapSalesforceTemporal
from tests.harness import config_for

# The SDK asks the tap for its streams when this module is read, so an org must be there by then, and again while the
# tests run.
_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
_org = Path(_folder.name) / "org"
seed_org(_org, events=4_000, seed=1)  # has rows for every source

with serve_in_thread(_org) as _server:
    _config = config_for(_server.url, _org)
    _catalog = TapSalesforceTemporal(config=_config).catalog_dict
    for _stream in _catalog["streams"]:  # what is off by default is tested too
        for _entry in _stream["metadata"]:
            if not _entry["breadcrumb"]:
                _entry["metadata"]["selected"] = True
    TestStandard = get_tap_test_class(
        TapSalesforceTemporal,
        config=_config,
        catalog=_catalog,
        suite_config=SuiteConfig(max_records_limit=50, ignore_no_records_for_streams=["declaration__history"]),
    )


@pytest.fixture(scope="module", autouse=True)
def served() -> Iterator[None]:
    """The org, for as long as the tests of this module run."""
    with serve_in_thread(_org) as server:
        _config.update(config_for(server.url, _org))
        yield
