"""Runs inside pyatlan's environment: logs in one way, does one kind of work, writes what came of it as JSON lines.

The request comes on the standard input, so that no secret is on a command line; lines go to the standard output.
"""

import asyncio
import json
import sys
from http import HTTPStatus

from pyatlan.client.aio.client import AsyncAtlanClient
from pyatlan.client.asset import Batch, CustomMetadataHandling
from pyatlan.client.atlan import AtlanClient
from pyatlan.errors import ConflictError, InvalidRequestError, NotFoundError
from pyatlan.model.assets import (
    Asset,
    Connection,
    Process,
    SalesforceField,
    SalesforceObject,
    Schema,
    Table,
)
from pyatlan.model.core import Announcement
from pyatlan.model.custom_metadata import CustomMetadataDict
from pyatlan.model.enums import (
    AnnouncementType,
    AtlanConnectorType,
    AtlanCustomAttributePrimitiveType,
    AtlanIcon,
    AtlanTagColor,
    AtlanTypeCategory,
    CertificateStatus,
)
from pyatlan.model.fields.atlan_fields import CustomMetadataField
from pyatlan.model.fluent_search import CompoundQuery, FluentSearch
from pyatlan.model.lineage import FluentLineage, LineageDirection
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Range, Term, Terms
from pyatlan.model.typedef import AttributeDef, CustomMetadataDef
from pyatlan.utils import API, EndPoint, HTTPMethod

SET = "Conformance"
KINDS = AtlanCustomAttributePrimitiveType
ATTRIBUTES = {"Changes": KINDS.INTEGER, "By": KINDS.STRING, "Last": KINDS.DATE, "Score": KINDS.DECIMAL}
BATCH = 50


def main():
    """Log in, work, write."""
    asked = json.load(sys.stdin)
    client = AtlanClient(**asked["login"])
    work = {"read": read, "custom_metadata": custom_metadata, "lineage": lineage, "calls": calls}[asked["work"]]
    for line in work(client, asked):
        print(json.dumps(line))


def read(client, _asked):
    """Everything of the Salesforce connection, page by page; each object also by GUID and by qualified name."""
    connection = salesforce(client)
    for asset in found(client, connection, SalesforceObject, SalesforceField):
        line = {"Id": asset.guid, "name": asset.name, "api": asset.api_name, "qualified": asset.qualified_name}
        if isinstance(asset, SalesforceObject):
            by_guid = client.asset.get_by_guid(asset.guid, SalesforceObject)
            by_name = client.asset.get_by_qualified_name(asset.qualified_name, SalesforceObject)
            assert (by_guid.guid, by_guid.api_name) == (by_name.guid, by_name.api_name) == (asset.guid, asset.api_name)
        yield line


def custom_metadata(client, _asked):
    """A set is made and extended, filled in batches with real GUIDs, and read back from the index."""
    connection = salesforce(client)
    names = list(ATTRIBUTES)
    made = CustomMetadataDef.create(display_name=SET)
    made.attribute_defs = [attribute(client, connection, name) for name in names[:-1]]
    made.options = CustomMetadataDef.Options.with_logo_from_icon(AtlanIcon.CALENDAR, AtlanTagColor.GRAY, locked=True)
    client.typedef.create(made)
    old = client.custom_metadata_cache.get_custom_metadata_def(SET)
    old.attribute_defs.append(attribute(client, connection, names[-1]))
    client.typedef.update(old)
    assets = list(found(client, connection, SalesforceObject, SalesforceField))
    for start in range(0, len(assets), BATCH):
        batch = []
        for number, asset in enumerate(assets[start : start + BATCH], start):
            entity = type(asset).updater(asset.qualified_name, asset.name)
            entity.guid = asset.guid
            values = CustomMetadataDict(client=client, name=SET)
            values["Changes"], values["By"] = number, f"005{number}"
            values["Last"], values["Score"] = 1_700_000_000_000 + number, number + 0.5
            entity.set_custom_metadata(client=client, custom_metadata=values)
            batch.append(entity)
        answer = client.asset.save_merging_cm(batch)
        assert len(answer.assets_updated(Asset)) == len(batch)
        assert not answer.assets_created(Asset)
    flat = client.custom_metadata_cache.get_attributes_for_search_results(SET)
    search = query(connection, SalesforceObject, SalesforceField)
    search = search.where(CustomMetadataField(client, SET, "Changes").has_any_value())
    for name in flat:
        search = search.include_on_results(name)
    for asset in search.page_size(BATCH).execute(client):
        values = asset.get_custom_metadata(client=client, name=SET)
        yield {"Id": asset.guid, **{name: values[name] for name in names}}


def lineage(client, _asked):
    """Processes from objects to tables, made twice, then followed down and up."""
    connection = salesforce(client)
    objects = list(found(client, connection, SalesforceObject))
    tables = list(
        FluentSearch()
        .where(CompoundQuery.active_assets())
        .where(CompoundQuery.asset_type(Table))
        .where(Table.SCHEMA_NAME.eq("SALESFORCE"))
        .execute(client)
    )
    for source, target in zip(objects, tables, strict=False):
        for _ in range(2):
            made = Process.creator(
                name=f"{source.name} to {target.name}",
                connection_qualified_name=connection,
                process_id=f"conformance/{source.guid}",
                inputs=[SalesforceObject.ref_by_guid(source.guid)],
                outputs=[Table.ref_by_guid(target.guid)],
            )
            client.asset.save(made)
        up = FluentLineage(starting_guid=target.guid, direction=LineageDirection.UPSTREAM, size=1).request
        assert source.guid in [one.guid for one in client.asset.get_lineage_list(up)]
        down = FluentLineage(
            starting_guid=source.guid,
            size=1,
            includes_on_results=[Asset.NAME],
            includes_in_results=[FluentLineage.ACTIVE],
            where_assets=[FluentLineage.ACTIVE],
        ).request
        leads = [one for one in client.asset.get_lineage_list(down) if isinstance(one, Table)]
        yield from ({"Id": one.guid, "from": source.guid, "name": one.name} for one in leads)


def calls(client, asked):
    """A sample of the other calls, each by its name, with whether it did what it says."""
    connection = salesforce(client)
    case = next(one for one in found(client, connection, SalesforceObject) if one.api_name == "Case")
    yield said("user.get_current", client.user.get_current().username == asked["username"])
    yield said("user.get_by_username", client.user.get_by_username("admin").email.endswith(".invalid"))
    yield said("user_cache", client.user_cache.get_id_for_name("admin"))
    yield said("role_cache", client.role_cache.get_id_for_name("$admin"))
    yield said("group.get_all", client.group.get_all().records == [])
    yield said("token.get_by_name", client.token.get_by_name("localcloud").client_id == "apikey-localcloud")
    yield said("typedef.get_all", client.typedef.get_all().entity_defs)
    yield from announcements(client, case)
    yield from values(client, case)
    yield from searches(client, connection)
    yield from evaluator(client, case)
    yield from removals(client)
    yield from refusals(client, case)
    yield said("async", asyncio.run(asynchronous(asked["login"], case.guid)) == case.name)


def announcements(client, case):
    """What hangs on an asset beside custom metadata."""
    text = Announcement(
        announcement_title="Burst", announcement_message="12", announcement_type=AnnouncementType.WARNING
    )
    client.asset.update_announcement(SalesforceObject, case.qualified_name, case.name, text)
    fresh = client.asset.get_by_guid(case.guid, SalesforceObject)
    yield said("update_announcement", fresh.announcement_title == "Burst")
    client.asset.remove_announcement(SalesforceObject, case.qualified_name, case.name)
    fresh = client.asset.get_by_guid(case.guid, SalesforceObject)
    yield said("remove_announcement", fresh.announcement_title is None)
    client.asset.update_certificate(SalesforceObject, case.qualified_name, case.name, CertificateStatus.VERIFIED, "ok")
    fresh = client.asset.get_by_guid(case.guid, SalesforceObject)
    yield said("update_certificate", fresh.certificate_status == CertificateStatus.VERIFIED)


def values(client, case):
    """Custom metadata of one asset."""
    made = CustomMetadataDef.create(display_name=SET)
    made.attribute_defs = [attribute(client, case.connection_qualified_name, name) for name in ATTRIBUTES]
    client.typedef.create(made)
    some = CustomMetadataDict(client=client, name=SET)
    some["Changes"], some["By"] = 1, "005"
    client.asset.update_custom_metadata_attributes(case.guid, some)
    yield said("update_custom_metadata_attributes", held(client, case) == {"Changes": 1, "By": "005"})
    other = CustomMetadataDict(client=client, name=SET)
    other["Changes"] = 2
    client.asset.replace_custom_metadata(case.guid, other)
    yield said("replace_custom_metadata", held(client, case) == {"Changes": 2})
    entity = SalesforceObject.updater(case.qualified_name, case.name)
    entity.set_custom_metadata(client=client, custom_metadata=some)
    client.asset.update_merging_cm(entity)
    yield said("update_merging_cm", held(client, case) == {"Changes": 1, "By": "005"})
    client.asset.remove_custom_metadata(case.guid, SET)
    yield said("remove_custom_metadata", held(client, case) == {})
    batch = Batch(client=client, max_size=20, update_only=True, custom_metadata_handling=CustomMetadataHandling.MERGE)
    batch.add(entity)
    batch.flush()
    yield said("Batch", batch.num_updated == 1 and held(client, case) == {"Changes": 1, "By": "005"})
    sets = client.typedef.get([AtlanTypeCategory.CUSTOM_METADATA])
    names = [one.display_name for one in sets.custom_metadata_defs]
    yield said("typedef.get", SET in names and "Data Stewardship" in names and not sets.entity_defs)
    client.asset.remove_custom_metadata(case.guid, SET)
    client.typedef.purge(SET, CustomMetadataDef)
    try:
        client.custom_metadata_cache.get_id_for_name(SET)
    except NotFoundError:
        yield said("typedef.purge", True)


def searches(client, connection):
    """Counts, groups and whole iterations."""
    by_type = FluentSearch.select().aggregate("types", Asset.TYPE_NAME.bucket_by(size=50)).page_size(0)
    answer = by_type.execute(client)
    counted = {bucket.key: bucket.doc_count for bucket in answer.aggregations["types"].buckets}
    yield said("bucket_by", counted["salesforceobject"] == query(connection, SalesforceObject).count(client))
    fields = list(query(connection, SalesforceField).page_size(20).execute(client, bulk=True))
    yield said("bulk search", len({one.guid for one in fields}) == len(fields) == counted["salesforcefield"])
    yield said("search after a GUID", after_guid(client, connection) == sorted(one.guid for one in fields))
    schemas = query(None, Schema).where(Schema.NAME.eq("salesforce")).include_on_results(Schema.DATABASE_NAME)
    yield said("name in any case", [one.database_name for one in schemas.execute(client)] == ["RAW"])


def after_guid(client, connection):
    """GUIDs of all fields, page by page: each page is asked for after the last GUID of the one before."""
    guids = []
    while True:
        clauses = [
            Terms(field="__typeName.keyword", values=["SalesforceField"]),
            Term(field="__state", value="ACTIVE"),
            Term(field="connectionQualifiedName", value=connection),
            *([Range(field="__guid", gt=guids[-1])] if guids else []),
        ]
        dsl = DSL(query=Bool(filter=clauses), from_=0, size=BATCH, sort=[{"__guid": {"order": "asc"}}])
        page = client.asset.search(IndexSearchRequest(dsl=dsl, attributes=["apiName"])).current_page()
        guids += [one.guid for one in page]
        if len(page) < BATCH:
            return guids


def evaluator(client, case):
    """What the token may do; there is no call for it in the SDK, whose own request is used."""
    api = API("entity/evaluator", HTTPMethod.POST, HTTPStatus.OK, endpoint=EndPoint.ATLAS)
    questions = [
        {"action": "ENTITY_UPDATE", "entityGuid": case.guid},
        {"action": "ENTITY_CREATE", "typeName": "Process", "entityId": f"{case.connection_qualified_name}/new"},
        {"action": "ENTITY_READ", "entityGuid": "00000000-1111-4222-8333-444444444444"},
    ]
    answers = client._call_api(api, request_obj=questions)
    yield said("evaluator", [one["allowed"] for one in answers] == [True, True, False])


def removals(client):
    """An asset is made, archived, restored and purged."""
    connection = client.asset.find_connections_by_name("demo-warehouse", AtlanConnectorType.SNOWFLAKE)[0]
    made = Table.creator(name="SCRATCH", schema_qualified_name=f"{connection.qualified_name}/RAW/SALESFORCE")
    (table,) = client.asset.save(made).assets_created(Table)
    yield said("save", table.name == "SCRATCH")
    client.asset.delete_by_guid(table.guid)
    yield said("delete_by_guid", client.asset.get_by_guid(table.guid).status.value == "DELETED")
    yield said("restore", client.asset.restore(Table, table.qualified_name))
    yield said("restored", client.asset.get_by_guid(table.guid).status.value == "ACTIVE")
    client.asset.purge_by_guid(table.guid)
    try:
        client.asset.get_by_guid(table.guid)
    except NotFoundError as error:
        yield said("purge_by_guid", "ATLAS-404-00-005" in str(error))


def refusals(client, case):
    """Errors come as the SDK's own kinds."""
    taken = CustomMetadataDef.create(display_name="Data Stewardship")
    taken.attribute_defs = []
    try:
        client.typedef.create(taken)
    except ConflictError as error:
        yield said("ConflictError", "ATLAS-409-00-012" in str(error))
    ghost = SalesforceObject.updater("default/salesforce/1/ghost", "ghost")
    ghost.guid = "00000000-1111-4222-8333-444444444444"
    try:
        client.asset.save(ghost)
    except NotFoundError as error:
        yield said("NotFoundError", "ATLAS-404-00-00A" in str(error))
    try:
        FluentSearch().where(Asset.GUID.eq(case.guid)).page_size(10_001).execute(client)
    except InvalidRequestError as error:
        yield said("InvalidRequestError", "ATLAS-400-00-503" in str(error))


async def asynchronous(login, guid):
    """The name of an asset, by the asynchronous client."""
    client = AsyncAtlanClient(**login)
    try:
        return (await client.asset.get_by_guid(guid, SalesforceObject)).name
    finally:
        await client.aclose()


def said(name, good):
    """A line of the verdict."""
    return {"Id": name, "good": bool(good)}


def held(client, asset):
    """The values of the set on an asset."""
    fresh = client.asset.get_by_guid(asset.guid, SalesforceObject)
    values = fresh.get_custom_metadata(client=client, name=SET)
    return {name: values[name] for name in ATTRIBUTES if values[name] is not None}


def attribute(client, connection, name):
    """One attribute of the set."""
    return AttributeDef.create(
        client=client,
        display_name=name,
        attribute_type=ATTRIBUTES[name],
        applicable_asset_types={"SalesforceObject", "SalesforceField"},
        applicable_connections={connection},
        applicable_glossaries={"none"},
    )


def salesforce(client):
    """The qualified name of the Salesforce connection."""
    (connection,) = client.asset.find_connections_by_name("demo-salesforce", AtlanConnectorType.SALESFORCE)
    assert isinstance(connection, Connection)
    return connection.qualified_name


def query(connection, *types):
    """Active assets of some types, of one connection or of any."""
    search = FluentSearch().where(CompoundQuery.active_assets()).where(CompoundQuery.asset_types(list(types)))
    return search.where(Asset.CONNECTION_QUALIFIED_NAME.eq(connection)) if connection else search


def found(client, connection, *types):
    """All of them, page by page."""
    search = query(connection, *types).sort(Asset.GUID.order()).page_size(BATCH)
    search = search.include_on_results(SalesforceObject.API_NAME).include_on_results(Asset.CONNECTION_QUALIFIED_NAME)
    return search.execute(client)


if __name__ == "__main__":
    main()
