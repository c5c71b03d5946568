"""Printed commands: quoted, without passwords, and with weights that exist."""

from __future__ import annotations

import shlex

from storage import StudyKey, open_store
from storage.commands import export_command, model_options, password_note


def test_an_export_command_is_what_a_shell_takes() -> None:
    url = "postgresql://u:s3cret@h/d?sslmode=require&user=b"
    model = model_options("my model", "/my models/tiny é", "bfloat16")
    line = export_command(url, model, ["--data", "mine; rm -rf x"], "out dir")
    words = ["python", "-m", "search.export", "--storage", "postgresql://u@h/d?sslmode=require&user=b"]
    words += ["--model", "my model", "--weights", "/my models/tiny é", "--dtype", "bfloat16"]
    words += ["--data", "mine; rm -rf x", "--out", "out dir"]
    assert shlex.split(line) == words
    assert "PGPASSWORD" in password_note(url)
    assert password_note("sqlite:///himap.db") == password_note("postgresql://u@h/d") == ""


def test_a_study_knows_where_its_weights_were_last(url: str, key: StudyKey) -> None:
    with open_store(url) as store:
        study = store.study(key, weights="/first place")
        assert store.study(key) == study
        assert store.studies()[0].weights == "/first place"
        stamp = store.version_stamp()
        assert store.study(key, weights="/second place") == study
        assert store.studies()[0].weights == "/second place"
        assert store.version_stamp() != stamp
