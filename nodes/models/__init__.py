"""Model files: which they are, how they are loaded, patched and kept in memory. Knows no graph."""
