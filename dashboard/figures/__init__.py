"""Figures of plotly, drawn from what `dashboard.analysis` computes. No Streamlit here."""
