"""Settings of the target, declared once; their table in the README is made from here."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping  # noqa: TC003  # msgspec evaluates annotations
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from microdecisions.declaration import SECRET, Settings
from microdecisions.errors import ConfigurationError
from microdecisions.settings import origin_of
from target_atlan_metadata.counting import CLOSED_VALUES
from target_atlan_metadata.figures import QualityWeights

__all__ = ["TargetSettings"]

Positive = Annotated[int, Meta(ge=1)]
_NAME = re.compile(r"(?=.*\S)[^\x00-\x1f]{1,100}")


class TargetSettings(Settings, frozen=True, kw_only=True):
    """All settings of `target-atlan-metadata`.

    Raises:
        ConfigurationError: one setting or a pair of them cannot be used.
    """

    reserved: ClassVar[Mapping[str, str]] = {
        "add_record_metadata": "belongs to loaders of tables: remove it",
        "load_method": "belongs to loaders of tables: remove it, each event is counted once whatever is repeated",
        "batch_size_rows": "belongs to loaders of tables: `batch_size` is the number of assets of one write",
        **dict.fromkeys(
            ("flattening_enabled", "flattening_max_depth", "flattening_max_key_length", "flattening_separator"),
            "belongs to loaders of tables: remove it, events are read whole",
        ),
        "validate_records": "is not needed: records are always checked, by the way in which they are decoded",
    }
    paths: ClassVar[frozenset[str]] = frozenset({"ca_bundle"})

    base_url: Annotated[
        str | None,
        Meta(title="Atlan URL", description="Address of the Atlan tenant, such as `https://acme.atlan.com`."),
    ] = None
    api_key: Annotated[
        str | None,
        Meta(title="API key", description="Atlan API token; or an OAuth client instead.", extra_json_schema=SECRET),
    ] = None
    oauth_client_id: Annotated[
        str | None, Meta(title="OAuth client id", description="Id of an OAuth client, instead of `api_key`.")
    ] = None
    oauth_client_secret: Annotated[
        str | None,
        Meta(title="OAuth client secret", description="Secret of the OAuth client.", extra_json_schema=SECRET),
    ] = None
    ca_bundle: Annotated[
        str | None,
        Meta(title="CA bundle", description="PEM file of certificates to trust instead of the usual ones."),
    ] = None
    connection_qualified_name: Annotated[
        str | None,
        Meta(
            title="Salesforce connection",
            description="Qualified name of the Salesforce connection in Atlan, such as `default/salesforce/1700000000`"
            "; needed only where there are several.",
        ),
    ] = None
    organization_qualified_name: Annotated[
        str | None,
        Meta(
            title="Salesforce organization",
            description="Qualified name of the organization, where a connection holds objects of several.",
        ),
    ] = None
    custom_metadata_name: Annotated[
        str,
        Meta(title="Custom metadata", description="Display name of the set of custom metadata that figures go to."),
    ] = "Salesforce Activity"
    create_custom_metadata: Annotated[
        Literal["auto", "never"],
        Meta(
            title="Create custom metadata",
            description="`auto` makes the set, or adds what it lacks, which needs an admin's token; `never` refuses to "
            "run without it.",
        ),
    ] = "auto"
    asset_levels: Annotated[
        tuple[Literal["object", "field"], ...],
        Meta(title="Asset levels", description="Which assets get figures: of objects, of fields, or both."),
    ] = ("object", "field")
    ledger_url: Annotated[
        str | None,
        Meta(
            title="Ledger",
            description="SQLAlchemy URL of the ledger that counts each event once: a file that lasts "
            "(`sqlite:////var/lib/atlan/ledger.db`), or a database to share it (`postgresql+psycopg://...`). Inside a "
            "Meltano project a file of the project by default.",
            extra_json_schema=SECRET,
        ),
    ] = None
    ledger_wait_seconds: Annotated[
        int,
        Meta(
            title="Wait for the ledger (s)", description="How long to wait for another run that has it.", ge=0, le=3600
        ),
    ] = 10
    allow_ledger_change: Annotated[
        bool,
        Meta(
            title="Allow another ledger",
            description="Write the figures of this ledger over those of another one, or of a later state of it; "
            "figures of assets that it knows no event of are taken away.",
        ),
    ] = False
    keep_event_ids_days: Annotated[
        Positive | None,
        Meta(
            title="Days of event ids",
            description="Forget ids of events older than this; older ones that come again are then not counted. Those "
            "of deletes are kept. All are kept when absent.",
        ),
    ] = None
    keep_daily_days: Annotated[
        Annotated[int, Meta(ge=31)] | None,
        Meta(
            title="Days kept apart",
            description="Keep what happened before so many days as one sum an asset; at least `quality_days`.",
        ),
    ] = 400
    batch_size: Annotated[
        int, Meta(title="Batch size", description="Assets of one write request, at most.", ge=1, le=500)
    ] = 50
    max_requests_per_minute: Annotated[
        int,
        Meta(
            title="Requests a minute",
            description="Requests to Atlan, at most; a tenant allows about 400 for all its clients.",
            ge=1,
            le=10_000,
        ),
    ] = 300
    max_concurrent_requests: Annotated[
        int, Meta(title="Concurrent requests", description="Write requests that wait at once, at most.", ge=1, le=4)
    ] = 2
    connect_timeout_seconds: Annotated[
        int, Meta(title="Connect timeout (s)", description="How long to wait for a connection.", ge=1, le=3600)
    ] = 10
    read_timeout_seconds: Annotated[
        int, Meta(title="Read timeout (s)", description="How long to wait for an answer.", ge=1, le=3600)
    ] = 120
    on_unresolved: Annotated[
        Literal["warn", "fail", "ignore"],
        Meta(
            title="On unresolved",
            description="What to do about objects of events that are not in the catalog: their figures wait in the "
            "ledger; `fail` ends the run with exit code 2 after everything else is written.",
        ),
    ] = "warn"
    other_streams: Annotated[
        Literal["fail", "ignore"],
        Meta(title="Other streams", description="What to do about streams that are not of events."),
    ] = "fail"
    actor_names: Annotated[
        bool,
        Meta(
            title="Names of actors",
            description="Write the name of who changed something last, instead of the user's id. Everyone who sees the "
            "asset sees it.",
        ),
    ] = False
    closed_values: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            title="Closed values",
            description="Values that end a record's life, by `Object.Field`: a change away from one re-opens a "
            "decision.",
        ),
    ] = msgspec.field(default_factory=lambda: {name: tuple(values) for name, values in CLOSED_VALUES.items()})
    quality_weights: Annotated[
        QualityWeights,
        Meta(
            title="Quality weights",
            description="How much each part weighs in the quality score: `freshness`, `completeness`, `automation`, "
            "`decisions`, `deletes`; 0 leaves one out.",
        ),
    ] = QualityWeights()
    quality_days: Annotated[
        int, Meta(title="Days of the quality score", description="How many days the score looks at.", ge=1, le=400)
    ] = 90
    lineage: Annotated[
        Literal["auto", "never"],
        Meta(
            title="Lineage",
            description="`auto` links objects to the warehouse tables of their events, where both are in the catalog.",
        ),
    ] = "auto"
    lineage_connection_qualified_name: Annotated[
        str | None,
        Meta(
            title="Connection of lineage",
            description="Connection that the processes of lineage belong to; the Salesforce connection by default.",
        ),
    ] = None
    warehouse_schema_qualified_name: Annotated[
        str | None,
        Meta(
            title="Warehouse schema",
            description="Qualified name in Atlan of the schema whose tables hold the events, where several schemas "
            "have tables of these names.",
        ),
    ] = None
    delete_burst: Annotated[
        Positive | None,
        Meta(
            title="Burst of deletes",
            description="Put an announcement on an object, with the figures, when they tell of so many more deletes "
            "than it carried when the run began; never when absent.",
        ),
    ] = None
    report_path: Annotated[
        str | None, Meta(title="Report", description="File that the report of the run is written to, as JSON.")
    ] = None
    dry_run: Annotated[
        bool,
        Meta(
            title="Dry run",
            description="Print on standard error what would be written; the ledger, Atlan and the state stay as they "
            "are.",
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.base_url is not None:
            origin_of(self.base_url, "base_url")
        elif not self.dry_run:
            raise ConfigurationError("Setting `base_url` is missing: give the address of the Atlan tenant.")
        self._check_credentials()
        for name in ("connection_qualified_name", "lineage_connection_qualified_name"):
            _check_connection(name, getattr(self, name))
        if _NAME.fullmatch(self.custom_metadata_name) is None:
            raise ConfigurationError("Setting `custom_metadata_name` must be a name of at most 100 characters.")
        if not self.asset_levels:
            raise ConfigurationError("Setting `asset_levels` must name `object`, `field` or both.")
        self._check_pairs()
        for place in self.closed_values:
            if place.count(".") != 1:
                raise ConfigurationError("Setting `closed_values` takes names such as `Case.Status`.")
        for weight in (getattr(self.quality_weights, name) for name in self.quality_weights.__struct_fields__):
            if not 0 <= weight <= 1000:
                raise ConfigurationError("Setting `quality_weights` takes whole numbers from 0 to 1000.")

    def _check_pairs(self) -> None:
        if self.delete_burst is not None and "object" not in self.asset_levels:
            raise ConfigurationError("Setting `delete_burst` needs `object` in `asset_levels`: deletes are of objects.")
        if self.keep_daily_days is not None and self.keep_daily_days < self.quality_days:
            raise ConfigurationError(
                f"Setting `keep_daily_days` must be at least `quality_days` ({self.quality_days}): the quality score "
                "looks at single days."
            )

    def _check_credentials(self) -> None:
        oauth = [name for name in ("oauth_client_id", "oauth_client_secret") if getattr(self, name) is not None]
        if self.api_key is not None and oauth:
            raise ConfigurationError(f"Settings `api_key` and `{oauth[0]}` are both set: keep one way to log in.")
        if len(oauth) == 1:
            other = "oauth_client_secret" if oauth == ["oauth_client_id"] else "oauth_client_id"
            raise ConfigurationError(f"Setting `{other}` is missing: an OAuth client has an id and a secret.")
        if self.base_url is not None and self.api_key is None and not oauth:
            raise ConfigurationError(
                "Setting `api_key` is missing: give an API token, or `oauth_client_id` and `oauth_client_secret`."
            )
        for name in ("api_key", "oauth_client_id", "oauth_client_secret"):
            value = getattr(self, name)
            if value is not None and re.fullmatch(r"[!-~]+", value) is None:
                raise ConfigurationError(f"Setting `{name}` holds a character that none has: copy it again.")

    def check_files(self) -> None:
        """Read the CA bundle.

        Raises:
            ConfigurationError: it cannot be read or used.
        """
        if self.ca_bundle is None:
            return
        try:
            ssl.create_default_context(cafile=self.ca_bundle)
        except (OSError, ValueError):
            raise ConfigurationError(
                "The file that `ca_bundle` names cannot be read, or holds no certificates in PEM form."
            ) from None

    @property
    def origin(self) -> str:
        """Scheme and host of the tenant."""
        return origin_of(self.base_url or "", "base_url")


def _check_connection(name: str, value: str | None) -> None:
    if value is not None and re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+/[0-9]+", value) is None:
        raise ConfigurationError(
            f"Setting `{name}` must be a connection's qualified name, such as `default/salesforce/1700000000`: "
            "`target-atlan-metadata explore` lists them."
        )
