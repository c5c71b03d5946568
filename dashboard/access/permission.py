"""Who may see the dashboard and change something in it. Every button that writes or starts a command asks here."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import streamlit as st

READ_ONLY = "--read-only"


def can_write() -> bool:
    """Return whether this session may submit, cancel and resume jobs, and run a model."""
    return READ_ONLY not in sys.argv[1:]


def user() -> str:
    """Return who is signed in, for the jobs that they submit; "" without sign-in."""
    values = st.user.to_dict()
    return str(values.get("email") or values.get("name") or values.get("sub") or "")


def check() -> None:
    """Check that this dashboard may be served as it was started.

    Raises:
        ValueError: other machines reach it, and it neither asks for sign-in nor is read-only.
    """
    if providers() and find_spec("authlib") is None:
        raise ValueError("got [auth] in secrets.toml without Authlib; pip install 'himap-search[sign-in]'")
    address = st.get_option("server.address") or "0.0.0.0"  # Streamlit's meaning of none
    if can_write() and not providers() and not is_local(address):
        raise ValueError(
            f"got the address {address}, which other machines reach; expected localhost, sign-in or read-only: "
            f"write [auth] into .streamlit/secrets.toml, or append -- {READ_ONLY}"
        )


def is_local(address: str) -> bool:
    """Return whether only this machine reaches a server that listens there."""
    if address == "localhost" or address.startswith("unix://"):
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def providers() -> list[str]:
    """Return the names of the OpenID Connect providers in secrets.toml; "" names the one without a section."""
    if not st.secrets.load_if_toml_exists():
        return []
    values: Mapping[str, Any] = st.secrets.get("auth", {})
    named = [name for name, value in values.items() if isinstance(value, Mapping) and name != "client_kwargs"]
    return named or ([""] if values else [])


def may_enter() -> bool:
    """Return whether this session's user may see the dashboard: nobody has to sign in, or they have and are listed."""
    if not providers():
        return True
    listed = st.secrets.get("access", {}).get("emails")
    return bool(st.user.is_logged_in) and (listed is None or is_listed(st.user.to_dict(), listed))


def is_listed(person: Mapping[str, Any], listed: Sequence[str]) -> bool:
    """Return whether a person is among some e-mail addresses, or in one of the domains, as in @example.org.

    Args:
        person: what the provider says of the person. An address that it calls unverified does not count.
    """
    name, at, domain = str(person.get("email", "")).lower().rpartition("@")
    known = {entry.lower() for entry in listed}
    return bool(name) and person.get("email_verified") is not False and bool({f"{name}@{domain}", at + domain} & known)
