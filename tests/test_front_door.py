"""What a newcomer touches first: make, the settings, the documents. They must not promise what is not there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud import cli, lifecycle
from localcloud.snowflake.address import TARGET_ENVIRONMENT, target_account

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
MELTANO: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
PLUGINS = [plugin for kind in MELTANO["plugins"].values() for plugin in kind]
OWN_FOLDERS = {".tools", ".venv", ".envs", ".meltano", ".localcloud", ".git", ".pytest_cache", ".ruff_cache"}
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not OWN_FOLDERS & set(path.relative_to(ROOT).parts))
TARGETS = re.findall(r"^([a-z-]+):.*?## (.*)$", MAKEFILE, flags=re.MULTILINE)


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**clean, **variables}, capture_output=True, text=True, check=False)


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    listed = make().stdout
    assert [line.split()[1] for line in listed.splitlines()] == [name for name, _ in TARGETS]
    assert all(text in listed for _, text in TARGETS)


def test_every_target_is_described() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert declared
    assert sorted(declared[1].split()) == sorted(name for name, _ in TARGETS)


def test_make_calls_only_scripts_that_exist() -> None:
    scripts = re.findall(r"[\w./-]+\.py\b", MAKEFILE)
    assert scripts
    assert [script for script in scripts if not (ROOT / script).exists()] == []


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        ({}, "demo/run.py load"),
        ({"EVENTS": "500"}, 'demo/run.py load --events "$DEMO_EVENTS"'),
        ({"LOG": "my log.xes", "AS": "case"}, 'demo/run.py load --event-log "$DEMO_LOG" --as "$DEMO_AS"'),
    ],
    ids=["plain", "sized", "event log"],
)
def test_make_hands_its_variables_to_the_demo(variables: dict[str, str], arguments: str) -> None:
    recipe = make("--dry-run", "demo", *(f"{name}={value}" for name, value in variables.items())).stdout
    assert " ".join(recipe.splitlines()[-1].split()).endswith(arguments)


def test_no_python_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    for name in ("sh", "mkdir", "date", "cat"):
        (tmp_path / name).symlink_to(Path("/bin") / name)
    done = subprocess.run(
        ["/usr/bin/make", "-C", str(tmp_path), ".tools/interpreter", "SHELL=/bin/sh"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Python 3.11 or later is needed and was not found" in done.stderr
    assert not (tmp_path / ".tools" / "interpreter").exists()


def test_continuous_integration_runs_the_two_commands_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [
        line.split("<")[0].strip() for line in script.read_text(encoding="utf-8").splitlines() if "make " in line
    ]
    assert commands == ["make demo", "make test"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(command in readme for command in commands)


def test_plugins_meltano_and_readme_say_what_the_plugins_say() -> None:
    command = [sys.executable, str(ROOT / "plugins" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_variable_of_the_example_is_a_declared_setting() -> None:
    names = {"MELTANO_ENVIRONMENT"}
    for plugin in PLUGINS:
        prefix = plugin["name"].replace("-", "_").upper()
        names |= {f"{prefix}_{setting['name'].replace('.', '_').upper()}" for setting in plugin["settings"]}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    used = set(re.findall(r"\b(?:TAP|TARGET|MELTANO)_[A-Z_]+", example))
    assert used - names == set()


def test_every_plugin_is_declared_whole_and_pinned() -> None:
    for plugin in PLUGINS:
        assert {"namespace", "pip_url", "executable", "capabilities", "settings"} <= plugin.keys()
        constraints = re.search(r"--constraint \$MELTANO_PROJECT_ROOT/(\S+)", plugin["pip_url"])
        assert constraints
        assert (ROOT / constraints[1]).is_file()


def test_secrets_are_declared_as_secrets() -> None:
    settings = {setting["name"]: setting for plugin in PLUGINS for setting in plugin["settings"]}
    for name in ("private_key", "access_token", "password", "private_key_passphrase", "oauth_access_token"):
        assert settings[name].get("sensitive") is True, name


def test_the_project_looks_nothing_up_and_reports_nothing() -> None:
    assert MELTANO["send_anonymous_usage_stats"] is False
    assert MELTANO["default_environment"] == "local"
    assert [environment["name"] for environment in MELTANO["environments"]] == ["local", "prod"]


def test_the_local_environment_stays_on_this_machine() -> None:
    local = MELTANO["environments"][0]
    addresses = re.findall(r"(?:\d+\.){3}\d+|https?://[^\s:/]+", str(local))
    assert addresses
    assert all("127.0.0.1" in address for address in addresses)


def test_the_local_environment_is_where_localcloud_serves_by_default() -> None:
    local = MELTANO["environments"][0]
    tap, target = (plugins[0]["config"] for plugins in local["config"]["plugins"].values())
    assert tap["login_url"] == f"http://{lifecycle.HOST}:{cli.SALESFORCE_PORT}"
    assert tap["private_key_path"] == f"$MELTANO_PROJECT_ROOT/{cli.DEMO_ORG}/jwt.key"
    assert target["account"] == target_account(cli.SNOWFLAKE_PORT, lifecycle.DATABASE, cli.SCHEMA)
    assert local["env"] == TARGET_ENVIRONMENT
    catalog = local["config"]["plugins"]["loaders"][1]
    assert catalog["name"] == "target-atlan-metadata"
    assert catalog["config"]["base_url"] == f"http://{lifecycle.HOST}:{cli.ATLAN_PORT}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://", "mailto:"))]
    assert [link for link in local if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_only_targets_that_exist(document: Path) -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", document.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named - {name for name, _ in TARGETS} == set()


def test_the_page_of_what_was_verified_speaks_of_the_contract_tests_that_there_are() -> None:
    command = [sys.executable, "-m", "contract.verified", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
