"""Preset files: a configuration as YAML, with what was measured and where it comes from."""
