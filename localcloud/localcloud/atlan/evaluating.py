"""What a caller may do, told without doing it: `POST entity/evaluator`.

The rules are those of `EntityREST.evaluatePolicies` and `AtlasEntityStoreV2.evaluatePolicies` in the published source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from localcloud.atlan.errors import bad_request, forbidden, guid_not_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from localcloud.atlan.store import Store
    from localcloud.atlan.switches import Privilege, Switches

_NEEDS: Final[dict[str, Privilege | None]] = {
    "ENTITY_READ": None,
    "ENTITY_CREATE": "create_assets",
    "ENTITY_UPDATE": "update_assets",
    "ENTITY_UPDATE_BUSINESS_METADATA": "write_custom_metadata",
}


class Question(msgspec.Struct, rename="camel"):
    """May the caller do that to an asset? It is named by its GUID, or by type and qualified name (`entity_id`)."""

    action: str | None = None
    type_name: str | None = None
    entity_guid: str | None = None
    entity_id: str | None = None
    business_metadata: str | None = None


class Verdict(Question, rename="camel"):
    """The question, and the answer; the code is that of the error that the deed would meet."""

    allowed: bool = False
    error_code: str | None = None


def evaluate(store: Store, switches: Switches, questions: Iterable[Question]) -> Iterator[Verdict]:
    """Answer questions; one about an action that is not known has no answer.

    Raises:
        AtlanError: 400, a question names no action.
    """
    for one in questions:
        if one.action is None:
            raise bad_request("action is null")
        if one.action not in _NEEDS:
            continue
        code = _refusal(store, switches, one, _NEEDS[one.action])
        yield Verdict(**msgspec.structs.asdict(one), allowed=code is None, error_code=code)


def _refusal(store: Store, switches: Switches, question: Question, privilege: Privilege | None) -> str | None:
    if question.entity_guid:
        if store.get(question.entity_guid) is None:
            return guid_not_found(question.entity_guid).code
    elif not (question.entity_id and question.type_name):
        return bad_request("").code
    return forbidden("", "").code if privilege in switches.denied else None
