"""The server as a process, over TLS, and to a client that knows nothing of it."""

from __future__ import annotations

import ipaddress
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
import simple_salesforce
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.salesforce.server import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]


def start(org: Path, ready: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(org), "--ready-file", str(ready)]
    return subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_the_process_says_it_is_a_mock_serves_and_stops_clean(own_org: Org, tmp_path: Path, number: int) -> None:
    ready = tmp_path / "ready"
    with start(own_org.path, ready) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        address = first.split("http://")[1].split()[0]
        try:
            assert first.startswith("mock Salesforce org on http://127.0.0.1:")
            assert requests.get(f"http://{address}/services/data", timeout=10).status_code == 200
            assert ready.read_text().splitlines()[0] == address
        finally:
            process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_a_taken_port_and_a_missing_org_are_said_in_one_line(own_org: Org, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start(own_org.path, tmp_path / "ready", "--port", str(port)) as process:
            message = process.communicate(timeout=30)[1]
        assert process.returncode == 1
        assert message.count("\n") == 1
        assert message.startswith(f"cannot listen on 127.0.0.1:{port}: ")
        with pytest.raises(OSError, match="address already in use"), serve_in_thread(own_org, port):
            pass
    with start(tmp_path / "none", tmp_path / "ready") as process:
        message = process.communicate(timeout=30)[1]
    assert (process.returncode, message) == (2, f"{tmp_path / 'none'} holds no org\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for the loopback address, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localcloud")])
    now = datetime.now(UTC)
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(public, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_a_strangers_client_reads_the_org_over_tls(own_org: Org, serve: Serve, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    own_org.load("Invoice__c", [{"Name": f"{n:04d}"} for n in range(2_500)])
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(cert)
        client = serve(own_org, tls_cert=cert, tls_key=key, verify=str(cert))
        instance = client.server.url.removeprefix("https://")
        token = client.http.headers["Authorization"].removeprefix("Bearer ")
        salesforce = simple_salesforce.Salesforce(instance=instance, session_id=token, session=session, version="60.0")
        names = [row["Name"] for row in salesforce.query_all_iter("SELECT Name FROM Invoice__c ORDER BY Name")]
        assert names == [f"{n:04d}" for n in range(2_500)]
        assert salesforce.query_all("SELECT Id FROM Account", include_deleted=True)["totalSize"] == 3
        assert salesforce.Opportunity.describe()["name"] == "Opportunity"
        assert salesforce.Opportunity.get(own_org.new_id("Opportunity", 0))["Name"] == "One"
        assert salesforce.limits()["DailyApiRequests"]["Max"] == 100_000
        assert salesforce.api_usage["api-usage"].total == 100_000
        with pytest.raises(simple_salesforce.exceptions.SalesforceMalformedRequest, match="INVALID_TYPE"):
            salesforce.query("SELECT Id FROM Nothing")


def test_an_untrusted_certificate_is_not_accepted(own_org: Org, certificate: tuple[Path, Path]) -> None:
    with (
        serve_in_thread(own_org, tls_cert=certificate[0], tls_key=certificate[1]) as server,
        pytest.raises(requests.exceptions.SSLError),
    ):
        requests.get(server.url, timeout=10)
