"""Where the ledger is: what the setting says, else a file of the Meltano project, else nowhere."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from microdecisions.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ledger_url"]

_ROOT: Final = "MELTANO_PROJECT_ROOT"
_ENVIRONMENT: Final = "MELTANO_ENVIRONMENT"


def ledger_url(setting: str | None, environ: Mapping[str, str], *, may_make: bool = False) -> str:
    """The URL of the ledger.

    Inside a Meltano project it stands beside Meltano's own database and is one per environment, shared by the
    pipelines of the project. If that folder does not last, the next run says so: Atlan knows which ledger its figures
    are from.

    Args:
        setting: Setting `ledger_url`.
        environ: The environment that Meltano gives its plugins.
        may_make: Make the folder in the project.

    Raises:
        ConfigurationError: there is no setting, and no Meltano project.
    """
    if setting is not None:
        return setting
    root = environ.get(_ROOT)
    if not root or not Path(root).is_dir():
        raise ConfigurationError(
            "Setting `ledger_url` is missing: outside a Meltano project say where the ledger is to last, such as "
            "sqlite:////var/lib/atlan/ledger.db."
        )
    name = re.sub(r"[^A-Za-z0-9_-]", "_", environ.get(_ENVIRONMENT) or "default")
    folder = Path(root) / ".meltano" / "target-atlan-metadata" / name
    if may_make:
        with contextlib.suppress(OSError):  # opening the ledger says it
            folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'ledger.db'}"
