"""Schema, connection and rows."""
