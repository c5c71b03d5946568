"""The dashboard: thin Streamlit pages over pure query and figure functions. Knows `storage`, nothing else.

streamlit run dashboard/app.py -- --storage sqlite:///himap.db
"""
