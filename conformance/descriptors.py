"""Compares the Pub/Sub descriptors inside a package of others with localcloud's, field by field.

Runs inside an environment where the package is installed, and needs nothing else of this project there:

    python conformance/descriptors.py sfprotostash                    # asks .venv/bin/python for ours
    python conformance/descriptors.py aiosfpubsub --ours ours.json    # or reads them from a file

Every difference is a line; the last line is `RESULT {json}` with the facts that were compared (`expected`) and
those that are equal (`got`). The exit code is 1 on any difference.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
_MODULE = "localcloud.salesforce.pubsub.contract"
_GENERATED = "pubsub_api_pb2.py"
_SCALARS = {3: "int64", 5: "int32", 8: "bool", 9: "string", 12: "bytes"}
_REPEATED = 3

Facts = dict[str, object]


def main(arguments: list[str] | None = None) -> int:
    """Compare, and say what differs; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", help="installed package with generated code: sfprotostash, aiosfpubsub, ...")
    parser.add_argument("--ours", type=Path, help="JSON of localcloud's contract; by default it is asked for")
    parser.add_argument("--python", default=str(ROOT / ".venv" / "bin" / "python"), help="interpreter to ask")
    options = parser.parse_args(arguments)
    text = options.ours.read_text() if options.ours else _ask(options.python)
    ours = dict(_flat(json.loads(text)))
    theirs = dict(_flat(_dump(_descriptor(options.package))))
    names = sorted(ours.keys() | theirs.keys())
    differences = [name for name in names if ours.get(name) != theirs.get(name)]
    for name in differences:
        print(f"{name}: ours {ours.get(name)}, {options.package} {theirs.get(name)}")
    figures = {"package": options.package, "expected": len(names), "got": len(names) - len(differences)}
    print(f"RESULT {json.dumps(figures)}")
    return 1 if differences or not names else 0


def _ask(python: str) -> str:
    command = [python, "-m", _MODULE]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _descriptor(package: str) -> Any:
    """The file descriptor of the generated code, without importing the package around it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{package} is not installed here")
    file = Path(next(iter(found.submodule_search_locations))) / _GENERATED
    spec = importlib.util.spec_from_file_location("theirs", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DESCRIPTOR


def _dump(file: Any) -> dict[str, Any]:
    """A file descriptor in the form of localcloud's own dump."""
    raw = _proto(file)
    return {
        "package": raw.package,
        "syntax": raw.syntax,
        "service": "".join(service.name for service in raw.service),
        "enums": {enum.name: {value.name: value.number for value in enum.value} for enum in raw.enum_type},
        "messages": {
            message.name: {
                field.name: [field.number, _type(field), field.label == _REPEATED] for field in message.field
            }
            for message in raw.message_type
        },
        "rpcs": {
            method.name: [
                method.input_type.rpartition(".")[2],
                method.output_type.rpartition(".")[2],
                method.client_streaming,
                method.server_streaming,
            ]
            for service in raw.service
            for method in service.method
        },
    }


def _proto(file: Any) -> Any:
    from google.protobuf import descriptor_pb2  # noqa: PLC0415 - of the package's environment

    raw = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(raw)
    return raw


def _type(field: Any) -> str:
    return _SCALARS.get(field.type) or str(field.type_name.rpartition(".")[2])


def _flat(dump: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """One fact a name: `messages.FetchRequest.replay_id`, `rpcs.Subscribe`, ..., and the order of fields."""
    for name in ("package", "syntax", "service"):
        yield name, dump[name]
    for kind in ("enums", "messages"):
        for name, members in dump[kind].items():
            yield f"{kind}.{name}", sorted(members)
            for member, fact in members.items():
                yield f"{kind}.{name}.{member}", fact
    for name, fact in dump["rpcs"].items():
        yield f"rpcs.{name}", fact


if __name__ == "__main__":
    sys.exit(main())
