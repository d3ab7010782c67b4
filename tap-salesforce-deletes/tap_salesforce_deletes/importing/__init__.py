"""The command `import`: what an older collector wrote into SQLite files becomes events of the stream."""

from tap_salesforce_deletes.importing.command import Output, command, import_files

__all__ = ["Output", "command", "import_files"]
