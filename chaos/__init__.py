"""Campaigns: plugins under faults, as real runs against the mock org, judged by the truth log."""
