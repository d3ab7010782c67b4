"""What every plugin of ours does the same way, tap or target: its settings, typed and checked before anything runs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from singer_sdk.plugin_base import PluginBase

from microdecisions.errors import ConfigurationError
from microdecisions.settings import load

if TYPE_CHECKING:
    from microdecisions.settings import Settings

__all__ = ["TypedPlugin"]

SettingsT = TypeVar("SettingsT", bound="Settings")


class TypedPlugin(PluginBase, Generic[SettingsT]):
    """A Singer plugin whose settings are a struct: stands before `Tap` or `Target` among the bases.

    Attributes:
        settings_type: The struct.
    """

    settings_type: ClassVar[type[Settings]]

    @cached_property
    def settings(self) -> SettingsT:
        """The typed settings.

        Raises:
            ConfigurationError: a setting cannot be used, is missing, or is not known.
        """
        builtin: dict[str, Any] = {"properties": {}}
        self.append_builtin_config(builtin)
        # The class names the type that it is generic in.
        return load(type(self).settings_type, self.config, also_known=builtin["properties"])  # type: ignore[return-value]

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        type(self).append_builtin_config(self.config_jsonschema)
        try:
            self.settings  # noqa: B018
        except ConfigurationError as error:
            if raise_errors:
                raise
            return [str(error)]
        return []
