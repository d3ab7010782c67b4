"""What the tests watch for in all that the tap says: secrets and values are found, ordinary words are not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from localcloud.salesforce.login.credentials import load_credentials
from localcloud.salesforce.org import Org
from tests.output import Output

LINE = "2026-03-02 08:00:00,123 | DEBUG    | tap-salesforce-temporal        | "


@pytest.fixture
def watched(empty_org: Path) -> Output:
    with Org.open(empty_org) as org:
        org.load("CaseHistory", [{"CaseId": org.new_id("Case", 1), "Field": "Subject", "NewValue": "Pump 7 leaks"}])
    output = Output()
    load_credentials(empty_org)
    output.reads_from(empty_org)
    return output


@pytest.mark.parametrize(
    "said",
    [
        "GET /services/data with Authorization: Bearer 00D5g000004AbcD!AQ4AQFkz3",
        "the assertion eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ4In0.c2ln is sent",
        "refresh_token=5Aep8612x",
        "-----BEGIN PRIVATE KEY-----",
        "a row: Subject is Pump 7 leaks now",
    ],
)
def test_what_nobody_should_know_is_found(said: str, watched: Output) -> None:
    watched.keep(LINE + "Beginning sync of 'case_history'.")
    assert not watched.leaks()
    watched.keep(LINE + said)
    assert len(watched.leaks()) >= 1


def test_the_secrets_of_an_org_and_of_settings_are_found_as_they_are(watched: Output, empty_org: Path) -> None:
    credentials = load_credentials(empty_org)
    watched.logs_in_with({"password": "open-sesame-1", "client_id": "not.a.secret.here"})
    key_line = (empty_org / "jwt.key").read_text().splitlines()[3]
    for secret in (credentials.client_secret, credentials.password, key_line, "open-sesame-1"):
        one = Output()
        one.secrets = watched.secrets
        one.keep(f"{LINE}not.a.secret.here")
        assert not one.leaks()
        one.keep(f"{LINE}it is {secret}, is it not")
        assert one.leaks()


def test_what_a_logger_of_the_tap_says_is_seen_at_debug_level(watched: Output, request: pytest.FixtureRequest) -> None:
    root = logging.getLogger()
    root.addHandler(watched)
    request.addfinalizer(lambda: root.removeHandler(watched))
    logging.getLogger("tap-salesforce-temporal.case_history").debug("a row with %s", "Pump 7 leaks")
    assert watched.leaks()
