"""Sign-in by OpenID Connect, as Streamlit offers it."""

from __future__ import annotations

import streamlit as st

from dashboard.access import permission
from dashboard.wording.formatting import plain


def sign_in() -> None:
    """Draw a button for each provider, or say that whoever is signed in may not enter."""
    st.title("HiMAP Search", anchor=False)
    if st.user.is_logged_in:
        st.error(plain(f"{permission.user()} may not see this dashboard; ask who runs it, or use another account."))
        _sign_out()
        return
    for name in permission.providers():
        if st.button(
            f"Sign in{f' with {plain(name)}' if name else ''}", key=f"sign in {name}", icon=":material/login:"
        ):
            st.login(name or None)


def account() -> None:
    """Draw who is signed in, and the button to sign out; nothing without sign-in."""
    if permission.providers():
        st.caption(plain(permission.user()), width="content")
        _sign_out()


def _sign_out() -> None:
    st.button("Sign out", on_click=st.logout, icon=":material/logout:", key="sign out")
