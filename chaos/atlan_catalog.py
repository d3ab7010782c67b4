"""The mock Atlan of a story: faults before and in the middle of a run, which of them struck, what may not change."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chaos.atlan_verdict import Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.plan import Fault
    from localcloud.atlan.assets import Asset
    from localcloud.atlan.running import Running

__all__ = ["SET", "Catalog"]

Json = dict[str, Any]

SET: Final = "Salesforce Activity"
_PAUSE_S: Final = 0.003
_WATCHED: Final = {  # what the journal says of a request that met it
    "bad_asset": "refuse", "rate_limit": "rate limit", "permission_lost": "deny",
}  # fmt: skip
_OURS: Final = ("Connection", "SalesforceObject", "SalesforceField")
_CRAWLER: Final = "service-account-atlan-argo"


@dataclass
class Catalog:
    """The catalog of a story.

    Attributes:
        served: The mock.
        strange: Sentences about what may not have changed and did, or came and may not be there.
    """

    served: Running
    strange: list[str] = field(default_factory=list)
    _first: int = 0
    _faults: Sequence[Fault] = ()
    _done: set[str] = field(default_factory=set)
    _before: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _watch: threading.Thread | None = None

    # Between runs, and in the middle of one.

    def do(self, asked: Json) -> bool:
        """Do what a plan asks; returns whether there was anything to be done."""
        if "tamper" in asked:
            return self._write(asked["tamper"], [asked["on"], "Case"])
        if "mark" in asked:
            mark = {"ledger": asked["mark"], "generation": 1, "as_of": "2026-01-01T00:00:00.000000Z"}
            return self._write({"Ledger": json.dumps(mark)}, [])
        asked = dict(asked)
        for key in ("refuse", "purge"):
            if key in asked:
                asked[key] = [one.guid for name in asked[key] for one in self._named(name)]
        crawl = asked.get("crawl", {})
        if "remove" in crawl and not all(self._named(name) for name in crawl["remove"]):
            return False
        self.served.control(**asked)
        return True

    def _write(self, values: Json, objects: Sequence[str]) -> bool:
        """Write values of the set on an asset, as another client does."""
        sets = self._asked("GET", "/api/meta/types/typedefs/?type=business_metadata")["businessMetadataDefs"]
        found = next((one for one in sets if one["displayName"] == SET), None)
        assets = [one for name in objects for one in self._named(name)] or [] if objects else self._connection()
        if found is None or not assets:
            return False
        names = {one["displayName"]: one["name"] for one in found["attributeDefs"]}
        body = {names[name]: value for name, value in values.items()}
        self._asked("POST", f"/api/meta/entity/guid/{assets[0].guid}/businessmetadata/{found['name']}", body)
        return True

    def _asked(self, method: str, path: str, body: Json | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.served.api_key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.served.url + path, data, headers, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    # One run.

    def arm(self, faults: Sequence[Fault]) -> None:
        """Make ready what a run will meet."""
        self._faults, self._done = faults, set()
        self._before = self._others()
        self._first = self.served.journal().total
        later = [fault for fault in faults if fault.after is not None]
        for fault in faults:
            if fault.after is None and self.do(fault.do):
                self._done.add(fault.kind)
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._act, args=(later,), daemon=True)
        self._watch.start()

    def asked(self) -> int:
        """How many requests of the run came in."""
        return self.served.journal(self._first).total - self._first

    def _act(self, later: Sequence[Fault]) -> None:
        left = sorted(later, key=lambda fault: fault.after or 0)
        while left and not self._over.is_set():
            if self.asked() >= (left[0].after or 0):
                fault = left.pop(0)
                if self.do(fault.do):
                    self._done.add(fault.kind)
                    if "crawl" in fault.do or "purge" in fault.do:
                        self._before = {}  # what the crawl did is no doing of the run
            time.sleep(_PAUSE_S)

    def disarm(self) -> Counter[str]:
        """End all faults; returns which kinds struck the run."""
        assert self._watch is not None  # noqa: S101 - armed before
        self._over.set()
        self._watch.join()
        said = [request.fault or "" for request in self.served.journal(self._first).requests]
        struck: Counter[str] = Counter()
        for fault in self._faults:
            if "fail" in fault.do or "drop" in fault.do:
                struck[fault.kind] += self._traps_struck(fault)
            elif fault.kind in _WATCHED:
                struck[fault.kind] += any(_WATCHED[fault.kind] in one for one in said)
            else:
                struck[fault.kind] += fault.kind in self._done
        lag = self.served.control().index_lag_seconds
        self.served.control(reset=True, index_lag_seconds=lag)
        self._look()
        return +Counter(dict.fromkeys(+struck, 1))

    def _traps_struck(self, fault: Fault) -> bool:
        state = self.served.control()
        for key, left in (("fail", state.fail), ("drop", state.drop)):
            for trap in fault.do.get(key, []):
                same = [one for one in left if one.pattern == trap["pattern"]]
                if trap.get("times", 1) is None:
                    return any(not one.skip for one in same) and self._met(trap["pattern"])
                if any(not one.times for one in same):
                    return True
        return False

    def _met(self, pattern: str) -> bool:
        requests = self.served.journal(self._first).requests
        return any(pattern in f"{one.method} {one.path}" and one.fault for one in requests)

    # What is there.

    def shown(self, known: set[str] | None = None) -> list[Shown]:
        """What objects and fields carry of the set, in truth and not by the index.

        Args:
            known: GUIDs of the assets that search can show; None: all.
        """
        found = self.served.assets("SalesforceObject")
        objects = {one.qualified_name: str(one.attributes.get("apiName")) for one in found}
        shown = [
            Shown(objects[one.qualified_name], None, self.carried(one))
            for one in found
            if known is None or one.guid in known
        ]
        for one in self.served.assets("SalesforceField"):
            parent = objects.get(str(one.attributes.get("objectQualifiedName")))
            if parent is not None and (known is None or one.guid in known):
                shown.append(Shown(parent, str(one.attributes.get("apiName")), self.carried(one)))
        return shown

    def carried(self, asset: Asset) -> Json:
        """What an asset carries of the set."""
        try:
            return dict(self.served.custom_metadata(SET, asset.guid))
        except KeyError:  # the set is not there yet
            return {}

    def _named(self, name: str) -> list[Asset]:
        name, _, field_name = name.partition(".")
        found = [one for one in self.served.assets("SalesforceObject") if one.attributes.get("apiName") == name]
        if not field_name:
            return found
        parents = {one.qualified_name for one in found}
        fields = [one for one in self.served.assets("SalesforceField") if one.attributes.get("apiName") == field_name]
        return [one for one in fields if one.attributes.get("objectQualifiedName") in parents]

    def _connection(self) -> list[Asset]:
        found = self.served.assets("Connection")
        return [one for one in found if one.attributes["connectorName"] == "salesforce"]

    def _others(self) -> dict[str, tuple[Any, ...]]:
        """All that no run may change, by GUID."""
        sets = self._asked("GET", "/api/meta/types/typedefs/?type=business_metadata")["businessMetadataDefs"]
        ours = {one["name"] for one in sets if one["displayName"] == SET}
        return {
            one.guid: (
                one.status,
                {name: value for name, value in one.attributes.items() if name != "__hasLineage"},
                {name: values for name, values in one.custom_metadata.items() if name not in ours},
            )
            for one in self.served.assets(archived=True)
            if one.type_name not in {"Process", "ColumnProcess"}
        }

    def _look(self) -> None:
        """Find ghosts, and what is not as it was."""
        everything = self.served.assets(archived=True)
        ghosts = [one for one in everything if one.type_name in _OURS and one.created_by != _CRAWLER]
        others = [one for one in everything if one.type_name not in {*_OURS, "Process"} and one.created_by != _CRAWLER]
        self.strange += [f"a ghost: {one.type_name} {one.qualified_name}" for one in (*ghosts, *others)]
        lost = [one for one in everything if one.type_name == "Process" and not (one.references or one.attributes)]
        self.strange += [f"a process between nothing: {one.qualified_name}" for one in lost]
        after = self._others()
        changed = [guid for guid, kept in self._before.items() if after.get(guid) != kept]
        self.strange += [f"asset {guid} is not as it was" for guid in changed]
        names = Counter(one.attributes.get("name") for one in everything if one.type_name == "Process" and one.active)
        self.strange += [f"{number} processes {name}" for name, number in names.items() if number > 1]
