"""SOAP login(): a user name and a password in XML, a session in XML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax.saxutils import escape

from localcloud.salesforce import describe
from localcloud.salesforce.login.credentials import load_credentials
from localcloud.salesforce.login.sessions import SESSION_SECONDS, Session
from localcloud.salesforce.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.login.policies import Policies
    from localcloud.salesforce.login.sessions import Sessions
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.wire import Call

PREFIX = "/services/Soap/"
LAST_WITH_LOGIN = 64
_PATH = re.compile(r"/services/Soap/(?P<api>[uc])/(?P<version>\d{1,3}\.\d)(/\w*)?")
_NAMESPACE = {"u": "partner", "c": "enterprise"}
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_WRONG = "Invalid username, password, security token; or user locked out."
_NEW_LOCATION = (
    f"{_WRONG} Are you at a new location? When accessing Salesforce--either via a desktop client or the API--from "
    "outside of your company's trusted networks, you must add a security token to your password to log in. To get "
    "your new security token, log in to Salesforce. From your personal settings, enter Reset My Security Token in "
    "the Quick Find box, then select Reset My Security Token."
)
_DISABLED = "SOAP API login() is disabled by default in this org."
_DEEPEST = 30


class SoapError(Exception):
    """A fault; `code` is an exception code of the API, or `soapenv:Client` for what is no request."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SoapLogin:
    """Answers `/services/Soap/u/XX.X` (partner) and `/services/Soap/c/XX.X` (enterprise); login() only.

    Sources: SOAP API Developer Guide, "login()", "LoginResult", "getUserInfoResult", "API Fault Element",
    "SOAP API End-of-Life Policy"; Knowledge article 005132110, "Platform SOAP API login() Retirement".

    Args:
        org: Its settings and folder.
        sessions: Where session ids are made.
        policies: Whether the org allows it, and whether the caller's network is trusted.
        now: Seconds since the epoch.
    """

    def __init__(self, org: Org, sessions: Sessions, policies: Policies, now: Callable[[], float]) -> None:
        self._org = org
        self._sessions = sessions
        self._policies = policies
        self._now = now

    def answer(self, call: Call, url: str) -> Answer:
        """Answer a request.

        Args:
            call: The request.
            url: The address of the org.
        """
        found = _PATH.fullmatch(call.path)
        api = found["api"] if found else "u"
        try:
            version = _version(found, call.method)
            body = self._login(read_login(call.body, api), api, version, url)
        except SoapError as error:
            return Answer(500, _fault(error, api), headers={"Content-Type": "text/xml;charset=UTF-8"})
        return Answer(200, body, headers={"Content-Type": "text/xml;charset=UTF-8"})

    def _login(self, sent: tuple[str, str], api: str, version: str, url: str) -> bytes:
        username, password = sent
        secrets = load_credentials(self._org.path)
        settings = self._org.settings
        if not self._policies.soap_login:
            raise SoapError("INVALID_OPERATION", _DISABLED)
        if username != settings.username or not password.startswith(secrets.password):
            raise SoapError("INVALID_LOGIN", _WRONG)
        token = password.removeprefix(secrets.password)
        if not token and not self._policies.trusted_network:
            raise SoapError("LOGIN_MUST_USE_SECURITY_TOKEN", _NEW_LOCATION)
        if token and token != secrets.security_token:
            raise SoapError("INVALID_LOGIN", _WRONG)
        session = self._sessions.issue(Session(settings.user_id, issued_at=self._now()))
        short = settings.org_id[:15]
        result = [
            _element("metadataServerUrl", f"{url}/services/Soap/m/{version}/{short}"),
            _element("passwordExpired", "false"),
            _element("sandbox", "false"),
            _element("serverUrl", f"{url}/services/Soap/{api}/{version}/{short}"),
            _element("sessionId", session),
            _element("userId", settings.user_id),
            f"<userInfo>{self._user_info()}</userInfo>",
        ]
        inner = f"<loginResponse><result>{''.join(result)}</result></loginResponse>"
        return _envelope(inner, f'xmlns="urn:{_NAMESPACE[api]}.soap.sforce.com"')

    def _user_info(self) -> str:
        settings = self._org.settings
        profile = self._org.db.execute('SELECT "ProfileId" FROM "User" WHERE "Id" = ?', (settings.user_id,)).fetchone()
        info: dict[str, str | None] = {
            "accessibilityMode": "false",
            "chatterExternal": "false",
            "currencySymbol": "$",
            "orgAttachmentFileSizeLimit": "5242880",
            "orgDefaultCurrencyIsoCode": "USD",
            "orgDefaultCurrencyLocale": "en_US",
            "orgDisallowHtmlAttachments": "false",
            "orgHasPersonAccounts": "false",
            "organizationId": settings.org_id,
            "organizationMultiCurrency": "false",
            "organizationName": settings.name,
            "profileId": (profile and profile[0]) or self._org.new_id("Profile", 0),
            "roleId": None,
            "sessionSecondsValid": str(SESSION_SECONDS),
            "userDefaultCurrencyIsoCode": None,
            "userEmail": settings.username,
            "userFullName": "Integration User",
            "userId": settings.user_id,
            "userLanguage": "en_US",
            "userLocale": "en_US",
            "userName": settings.username,
            "userTimeZone": "GMT",
            "userType": "Standard",
            "userUiSkin": "Theme3",
        }
        return "".join(_element(name, value) for name, value in info.items())


def _version(found: re.Match[str] | None, method: str) -> str:
    if found is None or method != "POST":
        raise SoapError("soapenv:Client", "this is a SOAP endpoint: POST to /services/Soap/u/XX.X")
    version = found["version"]
    if float(version) < describe.OLDEST:
        raise SoapError("UNSUPPORTED_API_VERSION", f"API version {version} has been retired")
    if float(version) > LAST_WITH_LOGIN:
        raise SoapError("UNSUPPORTED_API_VERSION", f"login() is not available in API version {version}: use OAuth")
    return version


def read_login(body: bytes, api: str) -> tuple[str, str]:
    """The user name and the password of a login request, whatever its prefixes are.

    Args:
        body: The envelope.
        api: `u` for the partner WSDL, `c` for the enterprise one: each has a namespace of its own.

    Raises:
        SoapError: It is not well-formed XML, has a document type declaration, or asks for something else.
    """
    reader = _Reader()
    try:
        reader.read(body)
    except expat.ExpatError as error:
        raise SoapError("soapenv:Client", f"The request is not well-formed XML: {error}") from error
    operation = reader.operation
    if operation != f"urn:{_NAMESPACE[api]}.soap.sforce.com login":
        namespace, _, name = (operation or " ").partition(" ")
        text = f"No operation available for request {{{namespace}}}{name}, please check the WSDL for the service."
        raise SoapError("soapenv:Client", text)
    return reader.texts.get("username", ""), reader.texts.get("password", "")


class _Reader:
    """Reads `Envelope/Body/<operation>/<argument>`; knows no entities but XML's own five."""

    def __init__(self) -> None:
        self.operation: str | None = None
        self.texts: dict[str, str] = {}
        self._path: list[str] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def read(self, body: bytes) -> None:
        self._parser.Parse(body, True)

    def _refuse(self, *_: object) -> None:
        raise SoapError("soapenv:Client", "DOCTYPE is not allowed in a request")

    def _start(self, name: str, _attributes: object) -> None:
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            raise SoapError("soapenv:Client", "the request is nested too deeply")
        if self.operation is None and self._path[:-1] == [f"{_ENVELOPE} Envelope", f"{_ENVELOPE} Body"]:
            self.operation = name

    def _end(self, _name: str) -> None:
        self._path.pop()

    def _text(self, text: str) -> None:
        if len(self._path) == 4 and self._path[2] == self.operation:
            name = self._path[3].rpartition(" ")[2]
            self.texts[name] = self.texts.get(name, "") + text


def _fault(fault: SoapError, api: str) -> bytes:
    text = escape(fault.message)
    if fault.code.startswith("soapenv:"):
        return _envelope(
            f"<soapenv:Fault><faultcode>{fault.code}</faultcode><faultstring>{text}</faultstring></soapenv:Fault>", ""
        )
    kind = "UnexpectedErrorFault" if fault.code == "UNSUPPORTED_API_VERSION" else "LoginFault"
    detail = (
        f'<sf:{kind} xsi:type="sf:{kind}"><sf:exceptionCode>{fault.code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{text}</sf:exceptionMessage></sf:{kind}>"
    )
    inner = (
        f"<soapenv:Fault><faultcode>{fault.code}</faultcode><faultstring>{fault.code}: {text}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>"
    )
    return _envelope(inner, f'xmlns:sf="urn:fault.{_NAMESPACE[api]}.soap.sforce.com"')


def _envelope(inner: str, namespace: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" {namespace} '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{inner}</soapenv:Body>'
        f"</soapenv:Envelope>"
    ).encode()


def _element(name: str, value: str | None) -> str:
    return f'<{name} xsi:nil="true"/>' if value is None else f"<{name}>{escape(value)}</{name}>"
