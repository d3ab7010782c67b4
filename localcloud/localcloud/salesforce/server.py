"""The org on loopback as a program of its own.

python -m localcloud.salesforce.server --org DIR [--port N] [--pubsub-port N] [--ready-file F]
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud import proxy
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.server import PortTakenError
from localcloud.salesforce.running import Running, listening, serve_in_thread, tls_context
from localcloud.salesforce.service import HOST, LONGEST_URI, Service
from localcloud.scenario import Scenario, ScenarioError, load_scenario
from localcloud.tls import certificates

if TYPE_CHECKING:
    import ssl

__all__ = ["HOST", "LONGEST_URI", "Running", "Service", "main", "serve_in_thread"]


async def _serve(
    org: Org,
    port: int,
    ready_file: Path | None,
    tls: ssl.SSLContext | None,
    scenario: Scenario | None,
    proxy_port: int | None = None,
    pubsub_port: int = 0,
    pair: tuple[Path, Path] | None = None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(org)
    async with (
        listening(service, port, tls) as bound,
        service.publishing(pubsub_port, pair) as events,
        proxy.beside(bound, events if pair else None, proxy_port) as tunnels,
    ):
        if scenario is not None:
            service.player.play(scenario)
        print(f"mock Salesforce org on {service.url} (no data leaves this machine)", file=sys.stderr, flush=True)  # noqa: T201
        if ready_file is not None:
            part = ready_file.with_suffix(ready_file.suffix + ".part")
            part.write_text(
                f"{HOST}:{bound}\n{HOST}:{events}\n"
                + (f"proxy {HOST}:{tunnels}\n" if tunnels else "")
                + ("scheme https\n" if tls else "")
            )
            part.replace(ready_file)
        await stop.wait()


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
            served = _serve(
                org, options.port, options.ready_file, tls, scenario, options.proxy_port, options.pubsub_port, pair
            )
            asyncio.run(served)
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
