"""What a search will need, before it starts."""
