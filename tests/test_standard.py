"""The SDK's own standard tests of a tap, against a mock org."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path

from singer_sdk.testing import SuiteConfig, get_tap_test_class

from localcloud.salesforce.server import serve_in_thread
from localcloud.seed import seed_org
from tap_salesforce_temporal.tap import TapSalesforceTemporal
from tests.harness import config_for

# The SDK makes its test class when the module is read, so the org must be there by then.
_folder = tempfile.TemporaryDirectory()
_org = Path(_folder.name) / "org"
seed_org(_org, events=1_000, seed=5)
_server = serve_in_thread(_org)
_running = _server.__enter__()


@atexit.register
def _end() -> None:
    _server.__exit__(None, None, None)
    _folder.cleanup()


TestStandard = get_tap_test_class(
    TapSalesforceTemporal,
    config=config_for(_running.url, _org),
    suite_config=SuiteConfig(max_records_limit=50, ignore_no_records_for_streams=["declaration__history"]),
)
