"""Code of transformers that no test has seen is refused, unless the model was verified."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import transformers

import himap
from himap import PruningConfig, UnsupportedModelError, families
from himap.families import known_code
from himap.families.tested_code import DIGESTS, VERSION
from tests.himap.tiny_models import Subject

CONFIG = PruningConfig(1, 50, 3, 50)


@pytest.mark.skipif(transformers.__version__ != VERSION, reason=f"the digests are those of transformers {VERSION}")
def test_the_digests_are_those_of_the_tested_release() -> None:
    """`python -m tests.tested_code` writes them."""
    assert {name: known_code.digest(import_module(name)) for name in DIGESTS} == DIGESTS


@pytest.mark.parametrize("module", ["transformers.masking_utils", "transformers.models.llama.modeling_llama"])
def test_a_newer_release_is_refused_where_its_code_differs(
    llava: Subject, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for using in (families, known_code):  # importing peft imports transformers anew
        monkeypatch.setattr(using.transformers, "__version__", "5.99.0")
    monkeypatch.setattr(known_code, "digest", lambda code: DIGESTS[code.__name__])
    families.find(llava.model)
    monkeypatch.setattr(
        known_code, "digest", lambda code: "patched" if code.__name__ == module else DIGESTS[code.__name__]
    )
    with (
        pytest.raises(UnsupportedModelError, match=rf"transformers 5\.99\.0, whose {module} is not the code"),
        himap.prune(llava.model, CONFIG),
    ):
        pass
    with himap.prune(llava.model, CONFIG, untested=True):
        pass


def test_a_digest_is_that_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for number, text in enumerate(("x = 1\n", "x = 1\n", "x = 2\n")):
        (tmp_path / f"code_{number}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        digests.append(known_code.digest(import_module(f"code_{number}")))
    assert digests[0] == digests[1] != digests[2]
