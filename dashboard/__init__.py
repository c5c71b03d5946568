"""The dashboard: Streamlit pages that read a store, and submit, cancel and resume its jobs.

streamlit run dashboard/app.py -- --storage sqlite:///himap.db

Each folder imports only from those after it: views, figures, wording, analysis, access.
"""
