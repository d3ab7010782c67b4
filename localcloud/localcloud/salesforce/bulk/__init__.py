"""Bulk API 2.0 query: jobs that write their results to files, and the files read set by set.

Source: "Bulk API 2.0 and Bulk API Developer Guide", chapter "Query Jobs".
"""

from __future__ import annotations
