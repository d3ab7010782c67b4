"""Reading a window of rows: REST pages, fetched ahead."""
