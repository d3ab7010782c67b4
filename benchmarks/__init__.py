"""Runnable comparisons; figures are ratios of one run, never asserted in tests."""
