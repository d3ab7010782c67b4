"""SOQL: lexer, parser and a compiler to SQLite."""
