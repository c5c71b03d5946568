"""Compute what the pages show; no Streamlit here."""
