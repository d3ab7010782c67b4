"""SOQL against its corpus: a fuzzer, and a comparison with parsers that nobody here wrote."""
