"""Progress, tables and files of a search."""
