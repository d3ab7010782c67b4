"""The org on loopback as a program of its own.

python -m localcloud.salesforce.server --org DIR [--port N] [--pubsub-port N] [--ready-file F]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.loopback import HOST
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.server import PortTakenError
from localcloud.salesforce.running import Ports, Running, listening, serve_in_thread
from localcloud.salesforce.service import LONGEST_URI, Service
from localcloud.scenario import Scenario, ScenarioError, load_scenario
from localcloud.serving.running import until_signalled
from localcloud.tls import certificates, tls_context

if TYPE_CHECKING:
    import ssl

__all__ = ["HOST", "LONGEST_URI", "Running", "Service", "main", "serve_in_thread"]


async def _serve(
    org: Org,
    ports: Ports,
    ready_file: Path | None,
    tls: ssl.SSLContext | None,
    pair: tuple[Path, Path] | None,
    scenario: Scenario | None,
) -> None:
    service = Service(org)
    serving = listening(service, ports, tls, pair, scenario)
    await until_signalled(service, serving, "Salesforce org", ready_file)


def main(arguments: list[str] | None = None) -> int:
    """Serve an org until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.salesforce.server", description=__doc__)
    parser.add_argument("--org", type=Path, required=True, help="folder of the org")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0: any)")
    parser.add_argument("--pubsub-port", type=int, default=0, help="port of the Pub/Sub API (0: any)")
    parser.add_argument("--ready-file", type=Path, help="gets host:port of both once the server accepts")
    parser.add_argument("--tls-cert", type=Path, help="certificate chain (PEM); with it the server speaks https")
    parser.add_argument("--tls-key", type=Path, help="private key of the certificate (PEM)")
    parser.add_argument("--tls", action="store_true", help="speak https by the org's own authority, DIR/tls/ca.pem")
    parser.add_argument("--proxy-port", type=int, help="a proxy whose tunnels all end at this org (0: any port)")
    parser.add_argument("--scenario", type=Path, help="YAML file that says what happens when")
    options = parser.parse_args(arguments)
    try:
        scenario = load_scenario(options.scenario) if options.scenario else None
        with Org.open(options.org) as org:
            tls = tls_context(options.tls_cert, options.tls_key)
            pair = (options.tls_cert, options.tls_key) if options.tls_cert and options.tls_key else None
            if options.tls and tls is None:
                own = certificates(options.org)
                tls, pair = own.server_context(), (own.certificate, own.key)
            ports = Ports(options.port, options.pubsub_port, options.proxy_port)
            asyncio.run(_serve(org, ports, options.ready_file, tls, pair, scenario))
    except ScenarioError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except FileNotFoundError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except PortTakenError as error:
        print(f"cannot listen on {HOST}:{error.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        print(f"cannot listen on {HOST}:{options.port}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
