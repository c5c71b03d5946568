"""The training recipe of the embedded models."""
