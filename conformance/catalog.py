"""pyatlan, the SDK that Atlan publishes, against the mock catalog of an org: over TLS, by API key and by OAuth."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.strangers import Run, python_of, run_stranger, version_of
from conformance.verdict import Verdict, judge
from localcloud.atlan.running import serve_in_thread
from localcloud.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.place import Place
    from conformance.verdict import Value
    from localcloud.atlan.running import Running

SCRIPT = Path(__file__).resolve().parent / "clients" / "with_pyatlan.py"
SET = "Conformance"
CALLS = (
    "user.get_current", "user.get_by_username", "user_cache", "role_cache", "group.get_all", "token.get_by_name",
    "typedef.get_all", "update_announcement", "remove_announcement", "update_certificate",
    "update_custom_metadata_attributes", "replace_custom_metadata", "update_merging_cm", "remove_custom_metadata",
    "Batch", "typedef.get", "typedef.purge", "bucket_by", "bulk search", "name in any case", "search after a GUID",
    "evaluator", "save", "delete_by_guid", "restore",
    "restored", "purge_by_guid", "ConflictError", "NotFoundError", "InvalidRequestError", "async",
)  # fmt: skip
"""The other calls, by the names that the client's script gives them."""


class Pyatlan:
    """pyatlan: search and get, custom metadata, lineage, and a sample of its other calls.

    Args:
        place: The org, whose schema the catalog shows and whose authority signs its certificate.
    """

    name = "pyatlan"

    def __init__(self, place: Place) -> None:
        self._place = place

    def runs(self) -> Iterator[Run]:
        """One run of each kind, on a catalog of its own."""
        for work, login, expected in (
            ("read", "API key", self._assets),
            ("custom_metadata", "OAuth", self._values),
            ("lineage", "API key", self._lineage),
            ("calls", "API key", self._calls),
        ):
            name = f"{self.name} {version_of(self.name)} {work.replace('_', ' ')} {login}"
            yield Run(name, partial(self._run, work, login, expected))

    def _run(self, work: str, login: str, expected: Callable[[Running], Mapping[str, Mapping[str, Value]]]) -> Verdict:
        files = certificates(self._place.folder)
        folder = self._place.work / "catalogs" / work
        folder.mkdir(parents=True)
        with serve_in_thread(folder, tls_cert=files.certificate, tls_key=files.key) as atlan:
            # it would send even 127.0.0.1 through HTTPS_PROXY, whatever NO_PROXY says
            secrets: dict[str, object] = {"base_url": atlan.url, "proxy": None}
            if login == "OAuth":
                secrets |= {"oauth_client_id": atlan.oauth_client_id, "oauth_client_secret": atlan.oauth_client_secret}
            else:
                secrets |= {"api_key": atlan.api_key}
            asked = {"login": secrets, "work": work, "username": "service-account-apikey-localcloud"}
            before = len(atlan.assets("SalesforceObject"))
            lines = run_stranger(self._place, self.name, [str(python_of(self.name)), str(SCRIPT)], json.dumps(asked))
            verdict = judge(expected(atlan), lines, faithful=True)
            if len(atlan.assets("SalesforceObject")) != before:
                verdict.why.append("an object was made that the org does not have")
                verdict.ok = False
            return verdict

    def _assets(self, atlan: Running) -> dict[str, dict[str, Value]]:
        return {
            one.guid: {"name": one.name, "qualified": one.qualified_name, "api": str(one.attributes["apiName"])}
            for kind in ("SalesforceObject", "SalesforceField")
            for one in atlan.assets(kind)
        }

    def _values(self, atlan: Running) -> dict[str, dict[str, Value]]:
        """What the catalog holds, which has to be what the script made by number."""
        held: dict[str, dict[str, Value]] = {}
        for guid in self._assets(atlan):
            found: dict[str, Any] = atlan.custom_metadata(SET, guid)
            number = found["Changes"]
            if found != {
                "Changes": number,
                "By": f"005{number}",
                "Last": 1_700_000_000_000 + number,
                "Score": number + 0.5,
            }:
                raise RuntimeError(f"the catalog holds {found} on {guid}")
            # numbers with a fraction reach the verdict as the digits that were written
            held[guid] = {**found, "Score": str(found["Score"])}
        return held

    def _lineage(self, atlan: Running) -> dict[str, dict[str, Value]]:
        return {
            process.references["outputs"][0]: {"from": process.references["inputs"][0]}
            for process in atlan.assets("Process")
        }

    def _calls(self, _atlan: Running) -> dict[str, dict[str, Value]]:
        return {name: {"good": True} for name in CALLS}
