"""The documents as a user follows them: blocks that parse, options, settings and headings that exist."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import click
import pytest
import yaml

from localcloud import cli
from tap_salesforce_deletes.explore.command import command as explore_deletes
from tap_salesforce_deletes.importing import command as import_deletes
from tap_salesforce_deletes.tap import TapSalesforceDeletes
from tap_salesforce_temporal.explore.command import command as explore_temporal
from tap_salesforce_temporal.tap import TapSalesforceTemporal
from target_atlan_metadata.rebuild import command as rebuild
from target_atlan_metadata.target import TargetAtlanMetadata
from tests.test_front_door import DOCUMENTS, PLUGINS, ROOT

LONGEST_README = 200
OWN = ("tap-salesforce-temporal", "tap-salesforce-deletes", "target-atlan-metadata")


def explore_atlan() -> click.Command:
    """The command of the target; imported when it is asked for, which takes seconds."""
    from target_atlan_metadata.explore import command  # noqa: PLC0415

    return command()


SETTINGS = {plugin["name"]: {setting["name"] for setting in plugin["settings"]} for plugin in PLUGINS}
OF_OURS = {name for plugin in OWN for name in SETTINGS[plugin]}
COMMANDS = {
    ("tap-salesforce-temporal", ""): TapSalesforceTemporal.get_singer_command,
    ("tap-salesforce-temporal", "explore"): explore_temporal,
    ("tap-salesforce-deletes", ""): TapSalesforceDeletes.get_singer_command,
    ("tap-salesforce-deletes", "explore"): explore_deletes,
    ("tap-salesforce-deletes", "import"): import_deletes,
    ("target-atlan-metadata", ""): TargetAtlanMetadata.get_singer_command,
    ("target-atlan-metadata", "explore"): explore_atlan,
    ("target-atlan-metadata", "rebuild"): rebuild,
}


class Block(NamedTuple):
    """A block of code in a document."""

    document: Path
    line: int
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            yield Block(document, text.count("\n", 0, found.start()) + 1, found[1], found[2])


BLOCKS = list(blocks())
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    assert chosen, languages
    names = [f"{block.document.relative_to(ROOT)}:{block.line}" for block in chosen]
    return pytest.mark.parametrize("block", chosen, ids=names)


def code_of(document: Path) -> list[str]:
    """Lines of shell blocks without their comments, and pieces of code within sentences."""
    lines = [
        re.sub(r"\s#\s.*", "", line)
        for block in BLOCKS
        if block.document == document and block.language in {"sh", "console"}
        for line in re.sub(r"\\\n\s*", "", block.text).splitlines()
    ]
    prose = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return lines + [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", prose)]


@of("json", "yaml", "xml", "python")
def test_blocks_parse(block: Block) -> None:
    parse: dict[str, Any] = {
        "json": json.loads, "yaml": yaml.safe_load, "xml": ET.fromstring, "python": ast.parse,
    }  # fmt: skip
    assert parse[block.language](block.text) is not None


@of("sh")
def test_shell_blocks_are_shell(block: Block) -> None:
    usage = re.sub(r"\[[^\]\n]*\]|\b(\w+)\|[\w|]+", r"\1", block.text)  # `[--option N]` and `a|b` of a synopsis
    done = subprocess.run(["bash", "-n"], input=usage, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def configs(found: Any, plugin: str = "") -> Iterator[tuple[str, str]]:
    """Plugin and name of each setting in a piece of meltano.yml; no plugin where the piece names none."""
    if isinstance(found, list):
        for one in found:
            yield from configs(one, plugin)
    elif isinstance(found, dict):
        plugin = found.get("inherit_from") or found.get("name") or plugin
        for key, value in found.items():
            if key == "config" and isinstance(value, dict):
                yield from ((plugin, name) for name in value)
            else:
                yield from configs(value, plugin)


@of("yaml")
def test_settings_in_examples_exist(block: Block) -> None:
    for plugin, name in configs(yaml.safe_load(block.text)):
        if plugin in SETTINGS or not plugin:
            assert name in SETTINGS.get(plugin, OF_OURS), f"{plugin} has no setting {name}"


def test_the_selection_to_set_by_hand_is_that_of_the_plugin() -> None:
    plugin = yaml.safe_load((ROOT / "plugins/extractors/tap-salesforce-temporal.yml").read_text(encoding="utf-8"))
    setting = re.compile(r"^meltano config set \S+ _select '(.*)'$", re.MULTILINE)
    told = [text for block in BLOCKS for text in setting.findall(block.text)]
    assert len(told) == 2
    assert all(json.loads(text) == plugin["select"] for text in told)


@each_document
def test_settings_and_variables_in_sentences_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    prefixes = {name.replace("-", "_").upper(): name for name in OWN}
    for prefix, name in re.findall(rf"\b({'|'.join(prefixes)})_([A-Z][A-Z_]*[A-Z])\b", text):
        assert name.lower() in SETTINGS[prefixes[prefix]], f"{prefix}_{name}"
    for plugin, name in re.findall(r"meltano config set (\S+) ([a-z]\w*)", text):
        assert name in SETTINGS[plugin], f"{plugin} has no setting {name}"
    for piece in code_of(document):
        given = re.fullmatch(r"([a-z]+(?:_[a-z]+)+): \S.*", piece)
        if given and "localcloud" not in document.parts:
            assert given[1] in OF_OURS | SETTINGS["target-snowflake"] | {"use_cached_catalog"}, piece


def options_of_localcloud(word: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        cli.main([word, "--help"])
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))


@each_document
def test_options_of_programs_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for piece in code_of(document):
        for part in re.split(r"\s[|>;]\s|&&", piece):
            words = re.sub(r"^(\w+=\S*\s+)+", "", part.strip()).split()
            program = Path(words[0]).name if words else ""
            given = {re.split(r"[=\]]", word.lstrip("["))[0] for word in words if re.match(r"\[?--?[a-z]", word)}
            if program == "localcloud" and len(words) > 1 and words[1].isalpha():
                known = options_of_localcloud(words[1], capsys)
            elif program in OWN:
                word = words[1] if len(words) > 1 and (program, words[1]) in COMMANDS else ""
                known = {name for one in COMMANDS[program, word]().params for name in (*one.opts, *one.secondary_opts)}
                known.add("--help")
            else:
                continue
            assert given - known == set(), f"{part}: {given - known}"


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_to_headings_that_exist(document: Path) -> None:
    for file, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([\w-]+)\)", document.read_text(encoding="utf-8")):
        assert anchor in anchors(document.parent / file if file else document), f"{file}#{anchor}"


@each_document
def test_no_document_speaks_of_the_machine_it_was_written_on(document: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:work|tmp|root|home)/\S*", document.read_text(encoding="utf-8"))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README


@each_document
def test_fences_are_closed_and_named(document: Path) -> None:
    fences = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("```")]
    for number, fence in zip(count(), fences, strict=False):
        assert number % 2 == 0 or fence == "```", f"{document.name}: {fence}"
    assert len(fences) % 2 == 0


def test_the_readme_of_the_library_names_each_of_its_modules() -> None:
    library = ROOT / "microdecisions"
    modules = {path.stem for path in (library / "microdecisions").iterdir() if path.stem[0] not in "_."} - {"py"}
    named = set(re.findall(r"`(\w+)`", (library / "README.md").read_text(encoding="utf-8")))
    assert modules - named == set()
