"""Settings: the schema they give, what is converted, and the sentence for each way to get them wrong."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from microdecisions.errors import ConfigurationError
from microdecisions.redaction import redact
from microdecisions.settings import LoginSettings, is_loopback, json_schema, load

if TYPE_CHECKING:
    from pathlib import Path

READY = {"auth_flow": "access_token", "access_token": "s3cret-token", "instance_url": "https://acme.my.salesforce.com"}
JWT = {"client_id": "consumer", "username": "user@example.invalid"}


class PluginSettings(LoginSettings, frozen=True, kw_only=True):
    history_objects: Annotated[tuple[str, ...], Meta(title="Objects", description="Patterns.")] = ("*",)
    reconcile: Annotated[bool, Meta(title="Reconcile", description="Whether to.")] = True
    start_date: Annotated[str | None, Meta(title="Start", description="From when.")] = None


def jwt_settings(**changes: Any) -> LoginSettings:
    return LoginSettings(client_id="consumer", username="user@example.invalid", private_key="x", **changes)


# --- the schema ---


def test_schema_is_flat_with_type_arrays_titles_and_defaults() -> None:
    schema = json_schema(PluginSettings)
    assert "$ref" not in str(schema)
    assert "$defs" not in str(schema)
    for name, declared in schema["properties"].items():
        assert declared["title"], name
        assert declared["description"], name
        assert declared["type"][-1] == "null", name
    properties = schema["properties"]
    assert properties["auth_flow"]["enum"] == [
        "access_token",
        "client_credentials",
        "jwt_bearer",
        "refresh_token",
        "username_password",
    ]
    assert properties["auth_flow"]["default"] == "jwt_bearer"
    assert properties["quota_percent_run"]["type"] == ["integer", "null"]
    assert (properties["quota_percent_run"]["minimum"], properties["quota_percent_run"]["maximum"]) == (1, 100)
    assert properties["history_objects"] == {
        "title": "Objects",
        "description": "Patterns.",
        "type": ["array", "null"],
        "items": {"type": "string"},
        "default": ["*"],
    }
    assert properties["reconcile"]["default"] is True


def test_schema_marks_secrets_and_nothing_else() -> None:
    properties = json_schema(LoginSettings)["properties"]
    secrets = {name for name, declared in properties.items() if declared.get("secret")}
    assert secrets == {
        "client_id",
        "client_secret",
        "password",
        "security_token",
        "private_key",
        "refresh_token",
        "access_token",
    }
    assert {name for name, declared in properties.items() if declared.get("writeOnly")} == secrets


# --- what is taken ---


def test_text_from_the_environment_is_converted() -> None:
    loaded = load(
        PluginSettings,
        {
            **READY,
            "quota_percent_run": "5",
            "reconcile": "false",
            "history_objects": '["Case*"]',
            "connect_timeout_seconds": "2",
            "api_version": 67.0,
        },
    )
    assert loaded.quota_percent_run == 5
    assert loaded.reconcile is False
    assert loaded.history_objects == ("Case*",)
    assert loaded.connect_timeout_seconds == 2
    assert loaded.api_version == "67.0"


def test_empty_text_and_null_count_as_unset() -> None:
    loaded = load(PluginSettings, {**READY, "domain": "", "quota_percent_total": None, "start_date": ""})
    assert (loaded.domain, loaded.quota_percent_total, loaded.start_date) == ("login", None, None)


def test_settings_of_the_sdk_are_left_out() -> None:
    assert load(LoginSettings, {**READY, "stream_maps": {}}, also_known=["stream_maps"]).access_token == "s3cret-token"


@pytest.mark.parametrize(
    ("domain", "origin", "audience"),
    [
        ("login", "https://login.salesforce.com", "login"),
        ("test", "https://test.salesforce.com", "test"),
        ("acme", "https://acme.my.salesforce.com", "login"),
        ("acme.my", "https://acme.my.salesforce.com", "login"),
        ("Acme.my.salesforce.com", "https://acme.my.salesforce.com", "login"),
        ("acme--uat.sandbox", "https://acme--uat.sandbox.my.salesforce.com", "test"),
        ("acme--uat.sandbox.my.salesforce.com", "https://acme--uat.sandbox.my.salesforce.com", "test"),
        ("acme--uat", "https://acme--uat.my.salesforce.com", "test"),
        ("acme-dev-ed.develop", "https://acme-dev-ed.develop.my.salesforce.com", "login"),
        ("acme-1.scratch", "https://acme-1.scratch.my.salesforce.com", "test"),
        ("login.salesforce.com", "https://login.salesforce.com", "login"),
    ],
)
def test_domain_gives_the_login_address_and_the_audience(domain: str, origin: str, audience: str) -> None:
    loaded = jwt_settings(domain=domain)
    assert loaded.login_origin == origin
    assert loaded.audience == f"https://{audience}.salesforce.com"


@pytest.mark.parametrize(
    ("changes", "audience"),
    [
        ({"login_url": "http://127.0.0.1:8080", "domain": "test"}, "https://test.salesforce.com"),
        ({"login_url": "http://localhost:8080"}, "https://login.salesforce.com"),
        ({"login_url": "https://test.salesforce.com/"}, "https://test.salesforce.com"),
        ({"login_url": "https://acme--uat.sandbox.my.salesforce.com"}, "https://test.salesforce.com"),
        ({"jwt_audience": "https://acme.my.site.com", "domain": "test"}, "https://acme.my.site.com"),
    ],
)
def test_audience_follows_the_address_unless_it_is_given(changes: dict[str, str], audience: str) -> None:
    assert jwt_settings(**changes).audience == audience


def test_loopback_is_this_machine_only() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"))
    assert not any(
        is_loopback(host) for host in ("localhost.example.invalid", "10.0.0.1", "127.0.0.1.nip.io", "", None)
    )


# --- keys ---


def spellings(pem: str) -> dict[str, str]:
    return {
        "as it is": pem,
        "literal line ends": pem.replace("\n", "\\n"),
        "literal Windows line ends": pem.replace("\n", "\\r\\n"),
        "Windows line ends": pem.replace("\n", "\r\n"),
        "blanks for line ends": pem.replace("\n", " "),
        "text around": f"Bag Attributes\n  friendlyName: key\n{pem}\n\n",
        "quotes around": f'"{pem}"',
    }


@pytest.mark.parametrize("spelling", spellings("").keys())
def test_a_key_is_accepted_however_its_lines_were_kept(key: Any, pem: str, spelling: str) -> None:
    loaded = load(LoginSettings, {**JWT, "private_key": spellings(pem)[spelling]})
    assert loaded.signing_key().private_numbers() == key.private_numbers()


def test_a_key_is_read_from_its_file(key: Any, pem: str, tmp_path: Path) -> None:
    path = tmp_path / "jwt.key"
    path.write_text(pem)
    loaded = load(LoginSettings, {**JWT, "private_key_path": str(path)})
    assert loaded.signing_key().private_numbers() == key.private_numbers()


def wrong_keys(key: Any, pem: str) -> dict[str, tuple[str, str]]:
    encoding, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(b"pass")
    old = serialization.PrivateFormat.TraditionalOpenSSL
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(encoding, pkcs8, serialization.NoEncryption())
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "no PEM": ("s3cret-text", "all lines"),
        "cut": (pem[:300], "all lines"),
        "damaged": (pem[:400] + pem[500:], "damaged"),
        "encrypted": (key.private_bytes(encoding, pkcs8, locked).decode(), "encrypted"),
        "encrypted, old form": (key.private_bytes(encoding, old, locked).decode(), "encrypted"),
        "elliptic": (curve.decode(), "not an RSA key"),
        "public": (public.decode(), "holds a certificate or public key"),
    }


@pytest.mark.parametrize("kind", ["no PEM", "cut", "damaged", "encrypted", "encrypted, old form", "elliptic", "public"])
def test_a_wrong_key_is_told_in_one_sentence_without_the_key(key: Any, pem: str, kind: str, tmp_path: Path) -> None:
    text, words = wrong_keys(key, pem)[kind]
    path = tmp_path / "jwt.key"
    path.write_text(text)
    for config in ({"private_key": text}, {"private_key_path": str(path)}):
        with pytest.raises(ConfigurationError, match=words) as caught:
            load(LoginSettings, {**JWT, **config})
        shown = repr(caught.value)
        assert next(iter(config)) in shown
        assert not any(line in shown for line in text.splitlines() if len(line) > 9)
        assert caught.value.__context__ is None


# --- one sentence each ---


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "`client_id` is missing"),
        ({"client_id": "c"}, "`username` is missing"),
        ({"access_token": "t0ken-value"}, "set `auth_flow` to `access_token`"),
        (JWT, "private key is missing"),
        ({**JWT, "private_key": "k", "private_key_path": "p"}, "both set"),
        ({**JWT, "private_key_path": "/does/not/exist"}, "`private_key_path` names cannot be read"),
        ({**JWT, "private_key": "k", "instance_url": "https://a.invalid"}, "only goes with `auth_flow` `access_token`"),
        ({"auth_flow": "access_token"}, "`access_token` is missing"),
        ({"auth_flow": "access_token", "access_token": "t0ken-value"}, "`instance_url` is missing"),
        ({**READY, "instance_url": "http://acme.invalid"}, "must begin with `https://`"),
        ({**READY, "instance_url": "acme.my.salesforce.com"}, "`instance_url` must be an address"),
        ({**READY, "instance_url": "https://a.invalid/services/Soap"}, "remove the path"),
        ({**READY, "instance_url": "https://u:s3cret@a.invalid"}, "must not hold credentials"),
        ({**READY, "login_url": "http://10.0.0.1"}, "`login_url` must begin with `https://`"),
        ({**READY, "login_url": "https://[broken"}, "`login_url` must be an address"),
        ({**READY, "domain": "https://acme.my.salesforce.com"}, "goes into `login_url`"),
        ({**READY, "domain": "acme.lightning.force.com"}, "My Domain name"),
        ({**READY, "domain": "evil.com/"}, "My Domain name"),
        ({**READY, "api_version": "66"}, "must look like `66.0`"),
        ({**READY, "api_version": "66.0/../x"}, "must look like `66.0`"),
        ({**READY, "auth_flow": "kerberos"}, "must be one of `access_token`, `client_credentials`, `jwt_bearer`, "),
        ({**READY, "allow_org_change": True}, "`allow_org_change` is not known to this version"),
        (
            {**READY, "quota_percent_total": 0},
            "`quota_percent_total` must be a whole number, at least 1 and at most 100",
        ),
        ({**READY, "quota_percent_total": "many"}, "must be a whole number"),
        ({**READY, "read_timeout_seconds": "nan"}, "must be a whole number"),
        ({**READY, "username": ["s3cret"]}, "`username` must be text"),
        ({**READY, "reconcile": "perhaps"}, "`reconcile` must be true or false"),
        ({**READY, "history_objects": "Case*"}, "must be a JSON list of texts"),
        ({**READY, "ca_bundle": "/does/not/exist"}, "`ca_bundle` names cannot be read"),
        ({**READY, "ca_bundle": __file__}, "holds no certificates"),
        ({**READY, "domian": "test"}, "`domian` is unknown: did you mean `domain`"),
        ({**READY, "strem_maps": {}}, "did you mean `stream_maps`"),
        ({**READY, "qqqqqq": "s3cret"}, "`qqqqqq` is unknown: remove it"),
        ({**READY, "00Dxx0000001gPL!s3cret": 1}, "no setting name"),
    ],
)
def test_each_wrong_setting_is_told_in_one_sentence(config: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        load(PluginSettings, config, also_known=["stream_maps"])
    sentence = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))
    assert not any(secret in sentence for secret in ("s3cret", "t0ken"))
    assert redact(sentence) == sentence
    assert caught.value.__context__ is None


@given(
    name=st.sampled_from(sorted(json_schema(PluginSettings)["properties"])),
    value=st.one_of(
        st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
    ),
)
def test_no_value_of_any_setting_raises_anything_else(name: str, value: object) -> None:
    with contextlib.suppress(ConfigurationError):
        load(PluginSettings, {**READY, name: value})


def test_settings_do_not_show_their_secrets(pem: str) -> None:
    shown = repr(load(LoginSettings, {**JWT, "private_key": pem})) + str(load(LoginSettings, READY))
    assert "user@example.invalid" in shown
    assert not any(secret in shown for secret in ("s3cret-token", "consumer", pem.splitlines()[1]))


def test_loaded_secrets_are_known_to_redaction() -> None:
    load(LoginSettings, {**READY, "access_token": "An-Odd-Token-Without-Shape"})
    assert redact("we sent An-Odd-Token-Without-Shape today") == "we sent [redacted] today"
