"""Whatever is wrong with the settings: one sentence that names the setting, exit code 2, before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Json, config_for, run_tap
from tests.test_bad_input import assert_one_sentence

NO_KEY = {"private_key_path": None}
BY_SECRET = {"auth_flow": "client_credentials", "client_secret": "hush", "username": None, **NO_KEY}
BY_PASSWORD = {"auth_flow": "username_password", "client_secret": "hush", **NO_KEY}
BY_TOKEN = {"auth_flow": "access_token", "login_url": None, "client_id": None, "username": None, **NO_KEY}

Case = tuple[Json, tuple[str, ...]]
NAMES: list[Case] = [
    ({"client_idd": "x"}, ("client_idd", "client_id")),
    ({"strat_date": "2026-01-01"}, ("strat_date", "start_date")),
    ({"select": ["Case"]}, ("select",)),
    ({"username": None}, ("username",)),
    ({"client_id": None}, ("client_id",)),
    ({"private_key_path": None}, ("private_key",)),
]
KINDS: list[Case] = [
    ({"lag_seconds": "soon"}, ("lag_seconds",)),
    ({"max_concurrent_requests": 2.5}, ("max_concurrent_requests",)),
    ({"allow_org_change": "perhaps"}, ("allow_org_change",)),
    ({"history_objects": {"Case": True}}, ("history_objects",)),
    ({"integration_users": [7]}, ("integration_users",)),
    ({"client_id": ["x"]}, ("client_id",)),
    ({"start_date": 20260101}, ("start_date",)),
    ({"username": ["someone"]}, ("username",)),
]
WORDS: list[Case] = [
    ({"auth_flow": "kerberos"}, ("auth_flow", "jwt_bearer")),
    ({"opportunity_changes_from": "both"}, ("opportunity_changes_from",)),
    ({"api_type": "bulk"}, ("api_type", "bulk2")),
    ({"on_gap": "ignore"}, ("on_gap", "warn")),
    ({**BY_PASSWORD, "password": "hush-hush", "login_api": "rest"}, ("login_api", "soap")),
    ({"api_version": "sixty"}, ("api_version",)),
    ({"api_version": "20.0"}, ("api_version",)),
    ({"history_fields": ["Status"]}, ("history_fields", "Case.Status")),
    ({"history_fields": ["Case.Sta*"]}, ("history_fields",)),
    ({"history_fields": ["Case.Status' OR Id != '"]}, ("history_fields",)),
    ({"username": "some\none"}, ("username",)),
]
RANGES: list[Case] = [
    ({"lag_seconds": -1}, ("lag_seconds",)),
    ({"overlap_seconds": 10_000_000}, ("overlap_seconds",)),
    ({"verify_days": 91}, ("verify_days",)),
    ({"max_run_seconds": 0}, ("max_run_seconds",)),
    ({"max_concurrent_requests": 0}, ("max_concurrent_requests",)),
    ({"max_concurrent_requests": 100}, ("max_concurrent_requests",)),
    ({"bulk_page_size": 10}, ("bulk_page_size",)),
    ({"quota_percent_total": 150}, ("quota_percent_total",)),
    ({"quota_percent_run": 0}, ("quota_percent_run",)),
    ({"connect_timeout_seconds": -5}, ("connect_timeout_seconds",)),
    ({"read_timeout_seconds": 0}, ("read_timeout_seconds",)),
]
DATES: list[Case] = [
    ({"start_date": "yesterday"}, ("start_date", "2024-01-31")),
    ({"start_date": "2026-02-30"}, ("start_date",)),
    ({"start_date": "2026-01-01T00:00:00"}, ("start_date", "offset")),
    ({"end_date": "31.01.2026"}, ("end_date",)),
    ({"start_date": "2026-01-02", "end_date": "2026-01-01"}, ("end_date",)),
    ({"start_date": "9999-12-31T12:00:00Z"}, ("start_date", "1700", "4000")),
    ({"end_date": "1000-01-01"}, ("end_date", "1700", "4000")),
]
ADDRESSES: list[Case] = [
    ({"login_url": "http://login.example.com"}, ("login_url", "https")),
    ({"login_url": "https://someone:hush@login.example.com"}, ("login_url", "credentials")),
    ({"login_url": "https://login.example.com/services/oauth2"}, ("login_url", "path")),
    ({"login_url": "login"}, ("login_url", "https://")),
    ({"login_url": None, "domain": "acme.example.com/login"}, ("domain",)),
    ({**BY_SECRET, "login_url": None, "domain": "test"}, ("domain", "My Domain")),
    ({**BY_TOKEN, "access_token": "00D!x", "instance_url": "http://acme.example.com"}, ("instance_url", "https")),
]
FLOWS: list[Case] = [
    ({"auth_flow": "client_credentials"}, ("client_secret", "client_credentials")),
    ({"refresh_token": "5Aep861x"}, ("refresh_token", "auth_flow")),
    ({"private_key": "x"}, ("private_key", "private_key_path", "one of them")),
    ({"instance_url": "https://acme.my.salesforce.com"}, ("instance_url",)),
    ({**BY_TOKEN, "access_token": "00D!x"}, ("instance_url",)),
    ({**BY_TOKEN, "access_token": "00D! x", "instance_url": "https://acme.my.salesforce.com"}, ("access_token",)),
    (BY_PASSWORD, ("password",)),
    ({**BY_PASSWORD, "login_api": "soap", "client_secret": None, "password": "hush-hush"}, ("client_id",)),
]
FILES: list[Case] = [
    ({"private_key_path": "/no/such/file.key"}, ("private_key_path",)),
    ({"private_key_path": "/dev/null"}, ("private_key_path",)),
    ({"ca_bundle": "/no/such/bundle.pem"}, ("ca_bundle",)),
    ({"ca_bundle": "/dev/null"}, ("ca_bundle",)),
    (
        {"auth_flow": "refresh_token", "refresh_token_path": "/no/such/kept", "username": None, **NO_KEY},
        ("refresh_token_path", "folder"),
    ),
]
CASES = [*NAMES, *KINDS, *WORDS, *RANGES, *DATES, *ADDRESSES, *FLOWS, *FILES]


@pytest.mark.parametrize(
    ("settings", "words"), CASES, ids=lambda value: ",".join(value) if isinstance(value, dict) else ""
)
def test_a_setting_that_cannot_be_used_is_named(
    settings: Json, words: tuple[str, ...], small_org: Path, tmp_path: Path
) -> None:
    given = config_for("http://127.0.0.1:1", small_org) | settings
    run = run_tap(tmp_path, {name: value for name, value in given.items() if value is not None})
    assert_one_sentence(run, 2, *words)
    assert run.log.count("| ERROR ") == 1
    for secret in ("hush", "00D!"):
        assert secret not in run.log
    assert not run.states
    assert not run.schemas
