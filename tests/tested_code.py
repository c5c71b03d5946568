"""Write himap/families/tested_code.py: the digests of the installed transformers, with which the tests have passed.

python -m tests.tested_code
"""

from __future__ import annotations

import sys
from pathlib import Path

import transformers

from himap import families
from himap.families.known_code import digest, modules
from himap.families.tested import TESTED
from tests.himap import tiny_classes, tiny_families, tiny_hybrids

PAGE = Path(__file__).parent.parent / "himap" / "families" / "tested_code.py"
_HEAD = '''"""The code of transformers that was tested, by module; written by `python -m tests.tested_code`."""

from __future__ import annotations

VERSION = "{version}"
DIGESTS = {{
{rows}
}}
'''


def page() -> str:
    """Return the whole module."""
    built = [tiny_classes.build(name) for name in TESTED]
    built += [build() for build, _ in (tiny_families.FAMILIES | tiny_hybrids.HYBRIDS).values()]
    names = {name for model in built for name in modules(families.find(model, untested=True))}
    rows = "\n".join(f'    "{name}": "{digest(sys.modules[name])}",' for name in sorted(names))
    return _HEAD.format(version=transformers.__version__, rows=rows)


if __name__ == "__main__":
    PAGE.write_text(page())
