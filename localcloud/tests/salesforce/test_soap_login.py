"""SOAP login(): the session it gives, and each documented fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
import requests

from localcloud.clock import OrgClock
from localcloud.salesforce.login import Credentials, load_credentials
from localcloud.salesforce.org import Org

USERNAME = "integration@mock.localcloud.invalid"
ENVELOPE = """<?xml version="1.0" encoding="utf-8"?>{doctype}
<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:u="urn:partner.soap.sforce.com">
  <e:Header><u:CallOptions><u:client>tests</u:client></u:CallOptions></e:Header>
  <e:Body><n:{operation} xmlns:n="urn:partner.soap.sforce.com">
    <n:username>{username}</n:username><n:password>{password}</n:password>
  </n:{operation}></e:Body>
</e:Envelope>"""
OUTER = "{http://schemas.xmlsoap.org/soap/envelope/}Body"


class Door:
    def __init__(self, client: Any, org: Org) -> None:
        self.client = client
        self.org = org
        self.secrets: Credentials = load_credentials(org.path)
        self.right = self.secrets.password + self.secrets.security_token

    def post(self, body: str | bytes, path: str = "u/62.0") -> requests.Response:
        headers = {"Content-Type": "text/xml", "SOAPAction": "login", "Authorization": None}
        http: requests.Session = self.client.http
        return http.post(f"{self.client.server.url}/services/Soap/{path}", data=body, headers=headers, timeout=30)

    def login(
        self, password: str, username: str = USERNAME, path: str = "u/62.0", operation: str = "login", doctype: str = ""
    ) -> requests.Response:
        body = ENVELOPE.format(
            username=escape(username), password=escape(password), operation=operation, doctype=doctype
        )
        return self.post(body, path)


@pytest.fixture
def door(own_org: Org, serve: Callable[..., Any]) -> Door:
    return Door(serve(own_org), own_org)


def tree(answer: requests.Response) -> ET.Element:
    return ET.fromstring(answer.content)  # noqa: S314 - what our own server says


def fault(answer: requests.Response) -> tuple[str, str]:
    """The code and the string of a fault, whose detail says the same."""
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "text/xml;charset=UTF-8"
    found = tree(answer).find(f"{OUTER}/{{*}}Fault")
    assert found is not None
    code, text = found.findtext("faultcode"), found.findtext("faultstring")
    assert code is not None
    assert text is not None
    detail = found.find("detail")
    if detail is not None:
        (inner,) = detail
        texts = {child.tag.partition("}")[2]: child.text for child in inner}
        assert texts == {"exceptionCode": code, "exceptionMessage": text.removeprefix(f"{code}: ")}
    return code, text


@pytest.mark.parametrize(("path", "kind"), [("u/62.0", "partner"), ("c/64.0", "enterprise"), ("u/31.0/", "partner")])
def test_password_and_security_token_give_a_session(door: Door, path: str, kind: str) -> None:
    envelope = ENVELOPE.replace("urn:partner", f"urn:{kind}")
    body = envelope.format(username=USERNAME, password=door.right, operation="login", doctype="")
    answer = door.post(body, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml;charset=UTF-8")
    result = tree(answer).find(f"{OUTER}/{{*}}loginResponse/{{urn:{kind}.soap.sforce.com}}result")
    assert result is not None
    names = [child.tag.partition("}")[2] for child in result]
    assert names == [
        "metadataServerUrl",
        "passwordExpired",
        "sandbox",
        "serverUrl",
        "sessionId",
        "userId",
        "userInfo",
    ]
    url = door.client.server.url
    assert result.findtext("{*}serverUrl") == f"{url}/services/Soap/{path.rstrip('/')}/{door.org.org_id[:15]}"
    assert result.findtext("{*}userId") == door.org.user_id
    info = result.find("{*}userInfo")
    assert info is not None
    assert info[8].tag == f"{{urn:{kind}.soap.sforce.com}}organizationId"
    assert (info[8].text, info.findtext("{*}userName")) == (door.org.org_id, USERNAME)
    session = result.findtext("{*}sessionId")
    door.client.http.headers["Authorization"] = f"Bearer {session}"
    assert door.client.get("limits").status_code == 200


def test_text_in_sections_and_references_is_read_as_text(door: Door) -> None:
    body = ENVELOPE.format(
        username=f"<![CDATA[{USERNAME}]]>",
        password="".join(f"&#{ord(letter)};" for letter in door.right),
        operation="login",
        doctype="",
    )
    assert door.post(body).status_code == 200


def test_a_password_without_its_security_token_says_so(door: Door) -> None:
    code, text = fault(door.login(door.secrets.password))
    assert code == "LOGIN_MUST_USE_SECURITY_TOKEN"
    assert "you must add a security token to your password" in text
    door.client.server.control(login={"trusted_network": True})
    assert door.login(door.secrets.password).status_code == 200


@pytest.mark.parametrize("wrong", ["user", "password", "token", "empty"])
def test_wrong_credentials_are_an_invalid_login(door: Door, wrong: str) -> None:
    answer = {
        "user": lambda: door.login(door.right, username="nobody & co"),
        "password": lambda: door.login("x" + door.right),
        "token": lambda: door.login(door.secrets.password + "x"),
        "empty": lambda: door.login(""),
    }[wrong]()
    message = "INVALID_LOGIN: Invalid username, password, security token; or user locked out."
    assert fault(answer) == ("INVALID_LOGIN", message)


def test_an_org_may_have_it_disabled(door: Door) -> None:
    door.client.server.control(login={"soap_login": False})
    code, text = fault(door.login(door.right))
    assert (code, text) == (
        "INVALID_OPERATION",
        "INVALID_OPERATION: SOAP API login() is disabled by default in this org.",
    )


@pytest.mark.parametrize("version", ["20.0", "30.0", "65.0", "68.0"])
def test_retired_versions_and_those_from_65_on_have_no_login(door: Door, version: str) -> None:
    code, text = fault(door.login(door.right, path=f"u/{version}"))
    assert code == "UNSUPPORTED_API_VERSION"
    assert version in text


def test_other_operations_and_namespaces_are_unknown(door: Door) -> None:
    assert fault(door.login(door.right, path="c/62.0"))[0] == "soapenv:Client"
    expected = (
        "soapenv:Client",
        "No operation available for request {urn:partner.soap.sforce.com}query, please check the WSDL for the service.",
    )
    assert fault(door.login(door.right, operation="query")) == expected


@pytest.mark.parametrize("body", ["", "no xml", "<a><b></a>", "<a/>", b"\xff\xfe", "<a>" * 40 + "</a>" * 40])
def test_a_body_that_is_no_request_is_refused(door: Door, body: str | bytes) -> None:
    assert fault(door.post(body))[0] == "soapenv:Client"


def test_a_document_type_is_refused_before_any_entity_grows(door: Door) -> None:
    doctype = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    assert fault(door.login("&b;", doctype=doctype)) == ("soapenv:Client", "DOCTYPE is not allowed in a request")
    outside = '<!DOCTYPE x SYSTEM "file:///etc/passwd">'
    assert fault(door.login(door.right, doctype=outside))[0] == "soapenv:Client"


def test_other_paths_and_methods_are_refused(door: Door) -> None:
    assert fault(door.login(door.right, path="m/62.0"))[0] == "soapenv:Client"
    assert fault(door.login(door.right, path="u/new"))[0] == "soapenv:Client"
    answer = door.client.get("/services/Soap/u/62.0")
    assert fault(answer)[0] == "soapenv:Client"


def test_it_costs_no_api_call_and_shows_in_the_journal_without_its_secrets(door: Door) -> None:
    door.login(door.right)
    (request,) = [entry for entry in door.client.server.journal().requests if entry.kind == "soap"]
    assert (request.api_calls, request.status) == (0, 200)
    assert door.secrets.password not in repr(request)


def test_what_is_quoted_in_an_answer_is_escaped(tmp_path: Path, serve: Callable[..., Any]) -> None:
    with Org.create(tmp_path / "org", clock=OrgClock(), name='Bolts & "Nuts" <Ltd>') as org:
        door = Door(serve(org), org)
        info = tree(door.login(door.right)).find(".//{*}userInfo")
        assert info is not None
        assert info.findtext("{*}organizationName") == 'Bolts & "Nuts" <Ltd>'
        body = ENVELOPE.format(username="", password="", operation="login", doctype="")
        code, text = fault(door.post(body.replace('xmlns:n="urn:partner.soap.sforce.com"', 'xmlns:n="a&amp;&lt;b"')))
    assert (code, "{a&<b}login" in text) == ("soapenv:Client", True)
