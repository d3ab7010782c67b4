"""Settings as one declaration: a struct of annotated fields gives config schema, checks and error sentences."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec

from microdecisions.errors import ConfigurationError
from microdecisions.redaction import BLANK, known_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["SECRET", "Settings", "json_schema", "load", "secret_names"]

SECRET: dict[str, object] = {"secret": True, "writeOnly": True}
"""`Meta(extra_json_schema=SECRET)` marks a setting whose value is never shown."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a plugin's settings.

    Each field is `Annotated[type, Meta(title=..., description=...)]`. Checks of settings against each other belong into
    `__post_init__`, those that read files into `check_files`; both raise `ConfigurationError`.
    """

    reserved: ClassVar[Mapping[str, str]] = {}
    """Names that are no settings yet, each with the rest of a sentence that begins "Setting `name` "."""
    paths: ClassVar[frozenset[str]] = frozenset()
    """Names of the settings that `load` expands `~` in, so that whoever uses them sees one and the same path."""

    def check_files(self) -> None:
        """Read what the settings point to, so that a wrong path is said at the start of a run."""

    def __repr__(self) -> str:
        """Show the settings that are set, secrets blanked."""
        secrets = secret_names(type(self))
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        parts = (
            f"{name}={BLANK if name in secrets else value!r}" for name, value in shown.items() if value is not None
        )
        return f"{type(self).__name__}({', '.join(parts)})"


SettingsT = TypeVar("SettingsT", bound=Settings)


def load(settings_type: type[SettingsT], config: Mapping[str, object], *, also_known: Iterable[str] = ()) -> SettingsT:
    """Turn a Singer config into a typed, checked settings object.

    Text from the environment is converted (`"5"`, `"true"`, JSON for lists and objects); empty text and null count as
    unset. Secret values are registered for redaction before anything is checked.

    Args:
        settings_type: the struct that declares the settings.
        config: what the user gave; JSON-like values.
        also_known: names that are accepted and left out, such as the SDK's own settings.

    Raises:
        ConfigurationError: one sentence naming the setting, what is wrong and what to do; never the value.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(settings_type)}
    others = frozenset(also_known)
    given = {name: value for name, value in config.items() if value is not None and value != ""}
    secrets = secret_names(settings_type)
    known_secrets.add(*(value for name, value in given.items() if name in secrets and isinstance(value, str)))
    values: dict[str, object] = {}
    for name, value in given.items():
        if name in fields:
            converted = _convert(fields[name], value)
            is_path = name in settings_type.paths and isinstance(converted, str)
            values[fields[name].name] = _expanded(str(converted)) if is_path else converted
        elif name not in others:
            raise ConfigurationError(_unknown(name, settings_type.reserved, {*fields, *others}))
    for field in fields.values():
        if field.required and field.name not in values:
            raise ConfigurationError(f"Setting `{field.encode_name}` is missing: give it a value.")
    settings = settings_type(**values)
    settings.check_files()
    return settings


def json_schema(settings_type: type[Settings]) -> dict[str, Any]:
    """The Singer config schema of a settings struct: flat properties with type arrays, and no `$ref`."""
    fields = msgspec.structs.fields(settings_type)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.encode_name: _property(field) for field in fields},
    }
    if required := [field.encode_name for field in fields if field.required]:
        schema["required"] = required
    return schema


def secret_names(settings_type: type[Settings]) -> frozenset[str]:
    """Names of the settings whose values must never be shown."""
    fields = msgspec.structs.fields(settings_type)
    return frozenset(field.encode_name for field in fields if _property(field).get("secret"))


def _property(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    (schema,), parts = msgspec.json.schema_components([field.type], ref_template="{name}")
    flat = _flatten(schema, parts)
    if "enum" in flat:
        flat.setdefault("type", "string")
    kinds = [flat["type"]] if isinstance(flat.get("type"), str) else list(flat.get("type", ()))
    if kinds and not field.required and "null" not in kinds:
        kinds.append("null")
    if kinds:
        flat["type"] = kinds
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if default is not msgspec.NODEFAULT and default is not None:
        flat["default"] = msgspec.json.decode(msgspec.json.encode(default))
    order = ("title", "description", "type")
    return {key: flat[key] for key in (*order, *(key for key in flat if key not in order)) if key in flat}


def _flatten(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Put referenced parts in place, and merge "this or null" into one type array."""
    flat = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf", "items", "properties"}}
    if "$ref" in schema:
        flat = {**_flatten(parts[schema["$ref"]], parts), **flat}
    if isinstance(schema.get("items"), dict):
        flat["items"] = _flatten(schema["items"], parts)
    if "properties" in schema:
        flat["properties"] = {name: _flatten(inner, parts) for name, inner in schema["properties"].items()}
    if "anyOf" in schema:
        choices = [_flatten(choice, parts) for choice in schema["anyOf"]]
        real = [choice for choice in choices if choice.get("type") != "null"]
        if len(real) == 1:
            flat = {**real[0], **flat, "type": [real[0].get("type", "string"), "null"]}
        else:
            flat["anyOf"] = choices
    return flat


def _convert(field: msgspec.structs.FieldInfo, value: object) -> object:
    schema = _property(field)
    kinds = set(schema.get("type", ()))
    if kinds <= {"string", "null"} and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)  # YAML makes a number of an unquoted 66.0
    try:
        if isinstance(value, str) and {"array", "object"} & kinds:
            return msgspec.json.decode(value, type=field.type)
        return msgspec.convert(value, field.type, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeEncodeError):
        sentence = f"Setting `{field.encode_name}` must be {_expected(schema)}."
    raise ConfigurationError(sentence)  # outside the handler: msgspec's message may hold the value


def _expanded(path: str) -> str:
    try:
        return str(Path(path).expanduser())
    except RuntimeError:  # nobody's home: the path is refused as it is
        return path


def _expected(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{choice}`" for choice in schema["enum"] if choice is not None)
    kinds = [kind for kind in schema.get("type", ()) if kind != "null"]
    kind = kinds[0] if kinds else "object"
    if kind == "array":
        items = schema.get("items", {})
        if "enum" in items:
            return f"a JSON list of {_named(items['enum'])}"
        return "a JSON list" + (" of texts" if items.get("type") == "string" else "")
    if kind == "object" and "properties" in schema:
        return f"a JSON object of {_named(schema['properties'])}"
    if kind == "object" and isinstance(of := schema.get("additionalProperties"), dict) and of.get("type") == "array":
        return "a JSON object whose values are lists"
    word = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "string": "text",
        "object": "a JSON object",
    }[kind]
    return word + _bounds(schema)


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _bounds(schema: Mapping[str, Any]) -> str:
    bounds = (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
    )
    said = [f"{words} {schema[key]:g}" for key, words in bounds if key in schema]
    return ", " + " and ".join(said) if said else ""


def _unknown(name: str, reserved: Mapping[str, str], known: Iterable[str]) -> str:
    if name in reserved:
        return f"Setting `{name}` {reserved[name]}."
    if not _NAME.fullmatch(name):  # such a "name" may be a value that slipped; it is not repeated
        return "The config has an unknown setting whose name is no setting name: remove it."
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"did you mean `{near[0]}`?" if near else "remove it, or see `--about` for the settings there are."
    return f"Setting `{name}` is unknown: {hint}"
