"""The other logins: client credentials, refresh tokens, user name and password; revocation and introspection."""

from __future__ import annotations

import base64
import json
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from localcloud.salesforce.login import Credentials, Session, Sessions, load_credentials
from localcloud.salesforce.org import Org

CLIENT_ID = "localcloud.demo.app"
USERNAME = "integration@mock.localcloud.invalid"


@dataclass
class Door:
    """An org that is being served, and what one needs to log in to it."""

    url: str
    org: Org
    control: Callable[..., Any]
    http: requests.Session
    credentials: Credentials

    def post(self, path: str, form: dict[str, str | None], **headers: str | None) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in form.items() if value is not None}
        # requests would send the session's own token beside a form that holds the secret
        return self.http.post(f"{self.url}/services/oauth2/{path}", data=sent, headers=named, timeout=30)

    def token(self, grant: str, host: str | None = None, **changes: str | None) -> requests.Response:
        form: dict[str, str | None] = {
            "grant_type": grant,
            "client_id": CLIENT_ID,
            "client_secret": self.credentials.client_secret,
        }
        return self.post("token", form | changes, Host=host)

    def password(self, **changes: str | None) -> requests.Response:
        secret = self.credentials.password + self.credentials.security_token
        return self.token("password", **({"username": USERNAME, "password": secret} | changes))

    def refresh(self, token: str | None = None, **changes: str | None) -> requests.Response:
        sent = self.credentials.refresh_token if token is None else token
        return self.token("refresh_token", **({"refresh_token": sent} | changes))

    def limits(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.get(f"{self.url}/services/data/v60.0/limits", headers=headers, timeout=30).status_code

    def basic(self, text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
def door(own_org: Org, serve: Callable[..., Any]) -> Door:
    client = serve(own_org)
    http = client.http
    del http.headers["Authorization"]
    http.trust_env = False
    return Door(client.server.url, own_org, client.server.control, http, load_credentials(own_org.path))


def refused(answer: requests.Response) -> tuple[str, str]:
    assert answer.status_code == 400
    said = answer.json()
    assert set(said) == {"error", "error_description"}
    return said["error"], said["error_description"]


EXPIRED = ("invalid_grant", "expired access/refresh token")
WRONG_CLIENT = ("invalid_client", "invalid client credentials")
UNKNOWN_CLIENT = ("invalid_client_id", "client identifier invalid")


@pytest.mark.parametrize("way", ["form", "basic"])
@pytest.mark.parametrize("host", [None, "acme.my.salesforce.com", "acme--dev.sandbox.my.salesforce.com:443"])
def test_client_credentials_are_granted_on_a_my_domain(door: Door, way: str, host: str | None) -> None:
    if way == "form":
        answer = door.token("client_credentials", host=host)
    else:
        header = door.basic(f"{CLIENT_ID}:{door.credentials.client_secret}")
        answer = door.post("token", {"grant_type": "client_credentials"}, Authorization=header, Host=host)
    granted = answer.json()
    assert answer.status_code == 200
    assert set(granted) == {"access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"}
    assert granted["instance_url"] == door.url
    assert door.limits(granted["access_token"]) == 200


@pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com", "LOGIN.salesforce.com:443"])
def test_client_credentials_are_refused_on_the_login_hosts(door: Door, host: str) -> None:
    answer = door.token("client_credentials", host=host)
    assert refused(answer) == ("invalid_grant", "request not supported on this domain")
    assert door.password(host=host).status_code == 200


def test_client_credentials_need_a_user_to_run_as(door: Door) -> None:
    door.control(login={"run_as_user": False})
    assert refused(door.token("client_credentials")) == ("invalid_grant", "no client credentials user enabled")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_id": "another.app"}, UNKNOWN_CLIENT),
        ({"client_id": None}, ("invalid_request", "missing required parameter: client_id")),
        ({"client_secret": "wrong"}, WRONG_CLIENT),
        ({"client_secret": None}, WRONG_CLIENT),
        ({"client_secret": ""}, WRONG_CLIENT),
    ],
    ids=str,
)
@pytest.mark.parametrize("grant", ["client_credentials", "password", "refresh_token"])
def test_an_app_that_is_not_the_orgs_is_refused(
    door: Door, grant: str, changes: dict[str, str | None], expected: tuple[str, str]
) -> None:
    assert refused(door.token(grant, **changes)) == expected


@pytest.mark.parametrize("value", ["!!!", "bm9jb2xvbg==", "/w=="])
def test_a_basic_header_that_is_none_is_refused(door: Door, value: str) -> None:
    answer = door.post("token", {"grant_type": "client_credentials"}, Authorization=f"Basic {value}")
    assert refused(answer)[0] in {"invalid_client", "invalid_client_id"}


def test_password_and_security_token_are_granted_without_a_refresh_token(door: Door) -> None:
    granted = door.password().json()
    assert set(granted) == {"access_token", "signature", "instance_url", "id", "token_type", "issued_at"}
    assert door.limits(granted["access_token"]) == 200


def test_whatever_is_wrong_with_a_password_login_the_answer_is_the_same(door: Door) -> None:
    failure = ("invalid_grant", "authentication failure")
    secrets = door.credentials
    assert refused(door.password(username="nobody@mock.invalid")) == failure
    assert refused(door.password(username=None)) == failure
    assert refused(door.password(password=secrets.password)) == failure
    assert refused(door.password(password=secrets.security_token)) == failure
    assert refused(door.password(password=None)) == failure
    door.control(login={"username_password_flow": False})
    assert refused(door.password()) == failure


def test_a_trusted_network_needs_no_security_token(door: Door) -> None:
    door.control(login={"trusted_network": True})
    assert door.password(password=door.credentials.password).status_code == 200
    assert door.password().status_code == 200


def test_a_refresh_token_that_does_not_rotate_is_good_for_many_logins(door: Door) -> None:
    answers = [door.refresh().json() for _ in range(3)]
    assert all("refresh_token" not in answer for answer in answers)
    assert {door.limits(answer["access_token"]) for answer in answers} == {200}
    assert len({answer["access_token"] for answer in answers}) == 3


def test_a_rotated_refresh_token_is_good_for_one_login(door: Door) -> None:
    door.control(login={"rotate_refresh_tokens": True})
    first = door.refresh().json()
    second = door.refresh(first["refresh_token"]).json()
    assert len({door.credentials.refresh_token, first["refresh_token"], second["refresh_token"]}) == 3
    assert door.limits(second["access_token"]) == 200
    assert load_credentials(door.org.path).refresh_token == second["refresh_token"]


def test_a_spent_refresh_token_revokes_the_current_one_and_its_sessions(door: Door) -> None:
    door.control(login={"rotate_refresh_tokens": True})
    first = door.refresh().json()
    other = door.password().json()
    assert refused(door.refresh()) == EXPIRED
    assert refused(door.refresh(first["refresh_token"])) == EXPIRED
    assert door.limits(first["access_token"]) == 401
    assert door.limits(other["access_token"]) == 200


def test_an_unknown_refresh_token_harms_nobody(door: Door) -> None:
    door.control(login={"rotate_refresh_tokens": True})
    assert refused(door.refresh("5Aep861unheard-of")) == EXPIRED
    assert refused(door.refresh("")) == ("invalid_request", "missing required parameter: refresh_token")
    assert door.refresh().status_code == 200


def test_one_refresh_token_used_twice_at_the_same_time_is_refused_once(door: Door) -> None:
    door.control(login={"refresh_seconds": 60})
    answers: list[requests.Response] = []
    first = threading.Thread(target=lambda: answers.append(door.refresh()))
    first.start()
    deadline = time.monotonic() + 20
    while door.control().refreshing == 0:
        assert time.monotonic() < deadline
    with requests.Session() as http:
        http.trust_env = False
        form = {"grant_type": "refresh_token", "refresh_token": door.credentials.refresh_token}
        app = (CLIENT_ID, door.credentials.client_secret)
        second = http.post(f"{door.url}/services/oauth2/token", data=form, auth=app, timeout=30)
    assert refused(second) == ("invalid_grant", "token request is already being processed")
    door.control(login={"refresh_seconds": 0})
    first.join()
    assert [answer.status_code for answer in answers] == [200]
    assert door.refresh().status_code == 200


def test_an_app_may_refresh_without_its_secret_where_the_org_lets_it(door: Door) -> None:
    door.control(login={"require_secret_for_refresh": False})
    assert door.refresh(client_secret=None).status_code == 200
    assert refused(door.refresh(client_secret="wrong")) == WRONG_CLIENT


def test_an_administrator_may_end_the_refresh_token_and_authorise_the_app_again(door: Door) -> None:
    granted = door.refresh().json()
    door.control(login={"revoke_refresh_token": True})
    assert refused(door.refresh()) == EXPIRED
    assert door.limits(granted["access_token"]) == 401
    door.control(login={"new_refresh_token": True})
    assert refused(door.refresh()) == EXPIRED
    assert door.refresh(load_credentials(door.org.path).refresh_token).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_access_token_can_be_revoked(door: Door, method: str) -> None:
    token = door.password().json()["access_token"]
    where = {"params": {"token": token}} if method == "GET" else {"data": {"token": token}}
    answer = door.http.request(method, f"{door.url}/services/oauth2/revoke", timeout=30, **where)  # type: ignore[arg-type]
    assert (answer.status_code, answer.content) == (200, b"")
    assert door.limits(token) == 401
    again = door.http.request(method, f"{door.url}/services/oauth2/revoke", timeout=30, **where)  # type: ignore[arg-type]
    assert refused(again)[0] == "invalid_token"


def test_a_revoked_refresh_token_takes_its_sessions_along(door: Door) -> None:
    token = door.refresh().json()["access_token"]
    assert door.post("revoke", {"token": door.credentials.refresh_token}).status_code == 200
    assert door.limits(token) == 401
    assert refused(door.refresh()) == EXPIRED
    assert refused(door.post("revoke", {}))[0] == "invalid_token"


def test_introspection_tells_whether_a_token_lives(door: Door) -> None:
    app: dict[str, str | None] = {"client_id": CLIENT_ID, "client_secret": door.credentials.client_secret}
    token = door.password().json()["access_token"]
    told = door.post("introspect", app | {"token": token}).json()
    assert told["active"] is True
    assert (told["username"], told["client_id"], told["token_type"]) == (USERNAME, CLIENT_ID, "access_token")
    assert told["exp"] > told["iat"] == told["nbf"]
    assert door.post("introspect", app | {"token": door.credentials.refresh_token}).json()["active"] is True
    assert door.post("introspect", app | {"token": "x"}).json() == {"active": False}
    door.post("revoke", {"token": token})
    assert door.post("introspect", app | {"token": token}).json() == {"active": False}
    assert refused(door.post("introspect", {"token": token}))[0] == "invalid_request"


def test_a_rotated_key_refuses_what_the_old_one_signed(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    old = client.sign()
    client.server.control(login={"rotate_key": True})
    assert refused(client.token(old)) == ("invalid_grant", "invalid assertion")
    assert client.token(client.sign()).status_code == 200
    assert stat.S_IMODE((own_org.path / "jwt.key").stat().st_mode) == 0o600


def test_secrets_are_made_once_kept_and_shown_to_nobody(own_org: Org, serve: Callable[..., Any]) -> None:
    first = load_credentials(own_org.path)
    serve(own_org)
    assert load_credentials(own_org.path) == first
    path = own_org.path / "login.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(path.read_bytes())) == {"client_secret", "password", "security_token", "refresh_token"}
    assert first.password not in f"{first!r}{first}"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"login\.json"):
        load_credentials(own_org.path)


def test_a_session_knows_its_holder_also_from_other_threads() -> None:
    times = iter([0.0, 7_000.0, 14_000.0, 21_201.0])
    sessions = Sessions("00D000000000001EAA", monotonic=lambda: next(times))
    held = Session("005000000000001AAA", "an.app")
    token = sessions.issue(held)
    found: list[Session | None] = []
    asker = threading.Thread(target=lambda: found.append(sessions.holder(token)))
    asker.start()
    asker.join()
    assert found == [held]
    assert sessions.check(f"OAuth {token}") == held
    assert sessions.holder(token) is None
    assert sessions.holder(None) is None
    assert len(sessions) == 0


def test_a_use_that_is_no_request_is_not_counted_as_one() -> None:
    sessions = Sessions("00D000000000001EAA")
    token = sessions.issue()
    sessions.expire_after(1)
    assert all(sessions.holder(token) for _ in range(3))
    sessions.check(f"Bearer {token}")
    assert sessions.holder(token) is not None
