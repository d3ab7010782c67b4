"""The settings of each login flow: what is taken, and one sentence for each mistake. No file is read but our own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from microdecisions.errors import ConfigurationError
from microdecisions.redaction import redact
from microdecisions.settings import LoginSettings, load

CLIENT = {"auth_flow": "client_credentials", "client_id": "consumer", "client_secret": "s3cret-c", "domain": "acme"}
REFRESH = {"auth_flow": "refresh_token", "client_id": "consumer", "refresh_token": "s3cret-r"}
PASSWORD = {"auth_flow": "username_password", "client_id": "consumer", "username": "u@acme.invalid"}
OAUTH = {**PASSWORD, "password": "s3cret-p"}
SOAP = {"auth_flow": "username_password", "login_api": "soap", "username": "u@acme.invalid", "password": "s3cret-p"}
READY = {"auth_flow": "access_token", "access_token": "s3cret-a", "instance_url": "https://acme.my.salesforce.com"}
SIGNED = {"client_id": "consumer", "username": "u@acme.invalid", "private_key": "s3cret-k"}
ALL = (CLIENT, REFRESH, OAUTH, SOAP, READY, SIGNED)


def name_of(config: Any) -> str:
    return "+".join(f"{name}" for name in config) if isinstance(config, dict) else str(config)[:40]


@pytest.mark.parametrize(
    "config",
    [
        *ALL,
        {**CLIENT, "domain": "acme--uat.sandbox"},
        {**CLIENT, "domain": "login", "login_url": "https://acme.my.salesforce.com"},
        {**CLIENT, "domain": "login", "login_url": "http://127.0.0.1:8080"},
        {**REFRESH, "client_secret": "s3cret-c", "domain": "test"},
        {**OAUTH, "client_secret": "s3cret-c", "security_token": "s3cret-t", "login_api": "oauth"},
        {**SOAP, "security_token": "s3cret-t"},
        {**SIGNED, "jwt_audience": "https://acme.my.site.com", "login_api": "oauth"},
    ],
    ids=name_of,
)
def test_a_flow_takes_its_own_settings(config: dict[str, Any]) -> None:
    settings = LoginSettings(**config)
    shown = repr(settings)
    assert settings.auth_flow in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("config", "words"),
    [
        # what is missing
        ({**CLIENT, "client_id": None}, "`client_id` is missing: the login flow `client_credentials` needs it"),
        ({**CLIENT, "client_secret": None}, "`client_secret` is missing"),
        ({**REFRESH, "client_id": None}, "`client_id` is missing"),
        ({**REFRESH, "refresh_token": None}, "`refresh_token` is missing: .* or a `refresh_token_path`"),
        (PASSWORD, "`password` is missing: the login flow `username_password` needs it"),
        ({**OAUTH, "client_id": None}, "`client_id` is missing"),
        ({**OAUTH, "username": None}, "`username` is missing"),
        (
            {**SOAP, "username": None},
            "`username` is missing: the login flow `username_password` with `login_api` `soap`",
        ),
        ({**SOAP, "password": None}, "`password` is missing"),
        # what somebody may have meant
        ({"client_id": "c", "client_secret": "s3cret-c"}, "`username` .* set `auth_flow` to `client_credentials`"),
        ({"client_id": "c", "refresh_token": "s3cret-r"}, "set `auth_flow` to `refresh_token`"),
        ({"username": "u", "password": "s3cret-p"}, "set `auth_flow` to `username_password`"),
        ({**CLIENT, "client_secret": None, "private_key": "s3cret-k"}, "set `auth_flow` to `jwt_bearer`"),
        # what does not belong
        ({**SIGNED, "client_secret": "s3cret-c"}, "`client_secret` does not belong to the login flow `jwt_bearer`"),
        ({**SIGNED, "refresh_token": "s3cret-r"}, "remove it, or set `auth_flow` to `refresh_token`"),
        ({**SIGNED, "password": "s3cret-p"}, "`password` does not belong"),
        ({**SIGNED, "security_token": "s3cret-t"}, "`security_token` does not belong .*: remove it\\."),
        ({**SIGNED, "login_api": "soap"}, "`login_api` only goes with `auth_flow` `username_password`"),
        ({**SIGNED, "access_token": "s3cret-a"}, "`access_token` does not belong"),
        ({**CLIENT, "username": "u"}, "`username` does not belong .* the app's Run As user"),
        ({**CLIENT, "refresh_token_path": "kept"}, "`refresh_token_path` does not belong"),
        ({**CLIENT, "instance_url": "https://acme.my.salesforce.com"}, "`instance_url` only goes with"),
        ({**REFRESH, "username": "u"}, "`username` does not belong .* the user who authorised the app"),
        ({**REFRESH, "private_key_path": "k"}, "`private_key_path` does not belong"),
        ({**OAUTH, "private_key": "s3cret-k"}, "`private_key` does not belong"),
        ({**OAUTH, "jwt_audience": "https://login.salesforce.com"}, "`jwt_audience` does not belong"),
        ({**SOAP, "client_id": "c"}, "`client_id` does not belong to .* with `login_api` `soap`: remove it"),
        ({**SOAP, "client_secret": "s3cret-c"}, "`client_secret` does not belong"),
        ({**READY, "password": "s3cret-p"}, "`password` does not belong to the login flow `access_token`"),
        ({**READY, "client_secret": "s3cret-c"}, "`client_secret` does not belong"),
        # where it goes
        ({**CLIENT, "domain": "login"}, "`domain` must be the org's My Domain"),
        ({**CLIENT, "domain": "test.salesforce.com"}, "`domain` must be the org's My Domain"),
        ({**CLIENT, "login_url": "https://login.salesforce.com"}, "`login_url` must be the org's My Domain"),
        ({**CLIENT, "login_url": "https://TEST.salesforce.com/"}, "`login_url` must be the org's My Domain"),
        ({**CLIENT, "login_url": "http://acme.my.salesforce.com"}, "`login_url` must begin with `https://`"),
        # what cannot be sent
        ({**CLIENT, "client_secret": "s3cret\n"}, "`client_secret` holds a line end"),
        ({**REFRESH, "refresh_token": "s3cret\r"}, "`refresh_token` holds a line end"),
        ({**OAUTH, "password": "s3cret\x00"}, "`password` holds a line end or another control character"),
        ({**SOAP, "security_token": "s3cret\udcff"}, "`security_token` holds a line end or another control"),
        ({**READY, "access_token": "s3cret \u0142"}, "`access_token` holds a character that no token has"),
        ({**SOAP, "login_api": "rest"}, "`login_api` must be one of `oauth`, `soap`"),
        ({**REFRESH, "refresh_token": ["s3cret"]}, "`refresh_token` must be text"),
    ],
    ids=name_of,
)
def test_each_mistake_in_a_flow_is_told_in_one_sentence(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        load(LoginSettings, config)
    sentence = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "s3cret" not in sentence
    assert redact(sentence) == sentence
    assert caught.value.__context__ is None


def test_all_secrets_of_a_config_are_known_to_redaction() -> None:
    load(LoginSettings, {**OAUTH, "client_secret": "An-Odd-Secret", "security_token": "An-Odd-Token"})
    assert redact("An-Odd-Secret s3cret-p An-Odd-Token") == "[redacted] [redacted] [redacted]"


# --- the file of the refresh token ---


def wrong_files(folder: Path) -> dict[str, tuple[Path, str]]:
    paths = {name: folder / name for name in ("shown", "damaged", "binary", "other", "pipe")}
    for path in paths.values():
        path.touch(mode=0o600)
    paths["shown"].write_text("s3cret-refresh-token")
    paths["shown"].chmod(0o640)
    paths["damaged"].write_text('{"refresh_token": "s3cret')
    paths["binary"].write_bytes(b"\xff\x00 s3cret")
    paths["other"].write_text('{"refresh_token": "s3cret-refresh", "app": "0123456789abcdef"}')
    paths["pipe"].unlink()
    os.mkfifo(paths["pipe"], 0o600)
    return {
        "readable by others": (paths["shown"], "can be read by others: `chmod 600`"),
        "damaged": (paths["damaged"], "neither one that this plugin wrote nor a refresh token"),
        "no text": (paths["binary"], "neither one"),
        "of another app": (paths["other"], "belongs to another app than `client_id`"),
        "a pipe": (paths["pipe"], "is no regular file"),
        "a folder": (folder, "is no regular file"),
        "in no folder": (folder / "none" / "kept", "folder of the file .* is not there"),
        "below a file": (paths["shown"] / "kept", "cannot be read|folder of the file"),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "readable by others",
        "damaged",
        "no text",
        "of another app",
        "a pipe",
        "a folder",
        "in no folder",
        "below a file",
    ],
)
def test_a_token_file_that_cannot_be_used_is_named(kind: str, tmp_path: Path) -> None:
    path, words = wrong_files(tmp_path)[kind]
    with pytest.raises(ConfigurationError, match=words) as caught:
        load(LoginSettings, {**REFRESH, "refresh_token_path": str(path)})
    assert "`refresh_token_path`" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_token_file_may_be_missing_only_while_there_is_a_token_to_begin_with(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    assert load(LoginSettings, {**REFRESH, "refresh_token_path": str(path)}).refresh_token_path == str(path)
    without = {**REFRESH, "refresh_token": None, "refresh_token_path": str(path)}
    for content in (None, "", "\n"):
        if content is not None:
            path.touch(mode=0o600)
            path.write_text(content)
        with pytest.raises(ConfigurationError, match="holds no refresh token yet: set `refresh_token`"):
            load(LoginSettings, without)
    path.write_text("s3cret-refresh-token\n")
    assert load(LoginSettings, without).refresh_token is None
    assert redact("is s3cret-refresh-token known?") == "is [redacted] known?"


@pytest.mark.parametrize("path", ["\x00", "~nobody-has-this-name/kept", "a" * 5000, "/", "..", "/dev/null"])
def test_an_odd_path_of_a_token_file_is_told_like_any_other(path: str) -> None:
    with pytest.raises(ConfigurationError, match="`refresh_token_path`"):
        load(LoginSettings, {**REFRESH, "refresh_token_path": path})
