"""Sets up the headless browser of the page's test: `python install.py UV FOLDER`.

npm comes from PyPI into an environment that lives no longer than this program; it fetches the packages of
`package-lock.json`. One of them holds a Chromium with the libraries and fonts that it needs, packed with
Brotli, which node unpacks. Afterwards `FOLDER/chromium` is all that is left, some 210 MB.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONSTRAINTS = HERE.parents[2] / "constraints" / "browser.txt"
INFLATE = "process.stdin.pipe(require('node:zlib').createBrotliDecompress()).pipe(process.stdout)"


def main(uv: str, folder: Path) -> int:
    """Set it up anew; 0 also where this browser cannot run, and none is needed to go on."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print("not on Linux x86-64: the page's test takes a Chromium on the PATH, or is skipped", end=" ")  # noqa: T201
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    build = folder / "build"
    build.mkdir(parents=True)
    node = _node(Path(uv).resolve(), build)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, build)
    npm = [str(node.with_name("npm")), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    path = os.pathsep.join((str(node.parent), os.environ.get("PATH", "")))
    subprocess.run(npm, cwd=build, env={**os.environ, "PATH": path}, check=True, stdout=subprocess.DEVNULL)
    _unpack(node, build / "node_modules" / "@sparticuz" / "chromium" / "bin", folder / "chromium")
    shutil.rmtree(build)
    return 0


def _node(uv: Path, build: Path) -> Path:
    environment = build / "environment"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, environment], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", environment, "-r", CONSTRAINTS], check=True)
    return environment.resolve() / "bin" / "node"


def _unpack(node: Path, packed: Path, folder: Path) -> None:
    folder.mkdir()
    for source in sorted(packed.glob("*.br")):
        target = folder / source.stem
        with source.open("rb") as read, target.open("wb") as write:
            subprocess.run([node, "-e", INFLATE], stdin=read, stdout=write, check=True)
        if target.suffix == ".tar":
            with tarfile.open(target) as archive:
                archive.extraction_filter = getattr(tarfile, "data_filter", None)  # newer than Python 3.11.0
                archive.extractall(folder)  # noqa: S202 - the lock file holds the hash of the package
            target.unlink()
    (folder / "chromium").chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
