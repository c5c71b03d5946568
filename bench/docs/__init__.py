"""Write tables and pictures of the documentation from measured files."""
