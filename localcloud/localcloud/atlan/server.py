"""The catalog on loopback as a program of its own.

python -m localcloud.atlan.server --org DIR [--port N] [--ready-file F] [--tls]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.atlan.running import SEED, listening, open_catalog
from localcloud.atlan.service import Service
from localcloud.atlan.switches import USUAL_PER_MINUTE
from localcloud.loopback import HOST
from localcloud.serving.running import until_signalled
from localcloud.tls import certificates

if TYPE_CHECKING:
    import ssl

    from localcloud.atlan.store import Store


async def _serve(store: Store, port: int, ready_file: Path | None, tls: ssl.SSLContext | None, per_minute: int) -> None:
    service = Service(store, requests_per_minute=per_minute)
    await until_signalled(service, listening(service, port, tls), "Atlan", ready_file)


def main(arguments: list[str] | None = None) -> int:
    """Serve a catalog until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.atlan.server", description=__doc__)
    parser.add_argument("--org", type=Path, required=True, help="folder of the org; the catalog is kept in it")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0: any)")
    parser.add_argument("--ready-file", type=Path, help="gets host:port once the server accepts")
    parser.add_argument("--tls", action="store_true", help="speak https by the org's own authority, DIR/tls/ca.pem")
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed makes the same catalog")
    parser.add_argument(
        "--requests-per-minute", type=int, default=USUAL_PER_MINUTE, help="then callers are shut out; 0: no limit"
    )
    options = parser.parse_args(arguments)
    store = open_catalog(options.org, seed=options.seed)
    try:
        tls = certificates(options.org).server_context() if options.tls else None
        asyncio.run(_serve(store, options.port, options.ready_file, tls, options.requests_per_minute))
    except OSError as error:
        print(f"cannot listen on {HOST}:{options.port}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
