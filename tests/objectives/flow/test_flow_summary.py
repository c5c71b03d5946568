"""Means, intervals and verdicts of a flow whose numbers are known; the stored file; the suggestions."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.errors import DataError
from objectives.flow import figures, results
from objectives.flow.suggest import layers_until, ranges, suggest, turning_layer
from objectives.flow.summary import Estimates, summary
from tests.objectives import flow_record
from tests.objectives.flow_record import LAYERS, QUESTIONS


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return flow_record.document()


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {row["claim"]: row["verdict"] for row in result["hypotheses"]}


def test_means_are_means_and_lie_in_their_intervals(stored: dict[str, Any]) -> None:
    questions = stored["record"]["saliency"]
    for name, rows in stored["summary"]["saliency"].items():
        for layer, row in enumerate(rows):
            values = [questions[str(i)][name][layer] for i in range(QUESTIONS)]
            assert row["mean"] == pytest.approx(np.mean(values))
            assert row["low"] <= row["mean"] <= row["high"]
            if name == "visual_textual":
                half = 1.96 * np.std(values) / math.sqrt(QUESTIONS)
                assert row["high"] - row["mean"] == pytest.approx(half, rel=0.15)


def test_the_bias_ratio_is_the_logarithm_of_the_two_effects(stored: dict[str, Any]) -> None:
    result = stored["summary"]
    visual, text = (result["effect"][name] for name in ("intra_visual", "visual_textual"))
    for layer, one in enumerate(result["bias_ratio"][:-1]):
        assert one["mean"] == pytest.approx(math.log(visual[layer]["mean"] / text[layer]["mean"]), rel=1e-6)
        assert one["low"] < one["mean"] < one["high"]
        assert one["mean"] == pytest.approx(math.log(0.5 if layer < 6 else 2), abs=0.15)
    assert result["bias_ratio"][-1] is None  # image rows of the last layer reach nobody


def test_pairs_stay_pairs() -> None:
    """What two columns share drops out of their ratio: its interval is narrower than either column's."""
    common = np.random.default_rng(0).uniform(0.1, 1, (50, 1))
    draw = Estimates(50)
    ratio = draw.log_ratios(2 * common, common)[0]
    assert ratio is not None and ratio["high"] - ratio["low"] < 1e-6
    one = draw.means(common)[0]
    assert one["high"] - one["low"] > 0.1


def test_answers_that_all_stay_leave_room_for_doubt(stored: dict[str, Any]) -> None:
    """40 of 40 is Wilson's [91.2, 100]: not yet clearly above 93 %."""
    last = [row for row in stored["summary"]["disruption"] if row["where"] == "last"]
    assert all(row["consistency"]["low"] == pytest.approx(0.9124, abs=1e-4) for row in last)
    assert stored["summary"]["hypotheses"][4]["verdict"] == "undecided"


def test_a_flow_like_the_papers_agrees_with_it(stored: dict[str, Any]) -> None:
    result = verdicts(stored["summary"])
    assert [claim for claim, verdict in result.items() if verdict != "agrees"] == [
        "whatever is blocked in the last layers, at least 93% of the answers stay"
    ]


def test_the_opposite_flow_disagrees() -> None:
    turned = flow_record.record()
    for question in turned["saliency"].values():
        names = ("intra_visual", "visual_textual")
        question["intra_visual"], question["visual_textual"] = (question[name] for name in names[::-1])
    swapped = {"visual_textual": "intra_visual", "intra_visual": "visual_textual", "random": "random"}
    for block in turned["disruption"].values():
        block["flow"] = swapped[block["flow"]]
        if block["where"] == "last":
            block["consistency"] = [0.0, 1.0] * (QUESTIONS // 2)
    result = verdicts(summary(turned))
    undecided = "blocking visual-textual flow in the first layers changes more answers than random rows"
    assert result.pop(undecided) == "undecided"
    assert set(result.values()) == {"disagrees"}


def test_suggestions_lie_where_the_flow_has_ended(stored: dict[str, Any]) -> None:
    where = ranges(stored)
    assert where.k1 == (2, 3)  # 9 + 7 of 19.45 pass in two layers, 19 of them in three
    assert where.turn == 6 and where.k2 == (6, LAYERS - 1)
    configs = suggest(stored)
    assert 3 <= len(configs) <= 6 and len(set(configs)) == len(configs)
    for config in configs:
        assert where.k1[0] <= config.k1 <= where.k1[1] and config.k2 < LAYERS
        assert config.r2 == 0 or where.k2[0] <= config.k2 <= where.k2[1]


def test_flow_that_never_turns_or_never_ends_still_fits_the_model() -> None:
    late = flow_record.document()
    result = late["summary"]
    for row in result["saliency"]["visual_textual"]:
        row["mean"] = 1.0
    result["bias_ratio"] = [{"mean": -1.0, "low": -1.0, "high": -1.0}] * LAYERS
    where = ranges(late)
    assert where.turn is None and where.k1 == (6, LAYERS - 2) and where.k2[1] == LAYERS - 1
    assert all(1 <= config.k1 < config.k2 <= LAYERS - 1 for config in suggest(late))


def test_where_a_flow_has_passed_and_where_a_ratio_turns() -> None:
    assert [layers_until([5, 3, 2], part) for part in (0.5, 0.8, 0.81, 1)] == [1, 2, 3, 3]
    rows = [{"mean": value} for value in (-1.0, 1.0, -1.0, 1.0, 2.0)]
    assert turning_layer([*rows, None]) == 3 and turning_layer(rows[:3]) is None and turning_layer([None]) is None
    with pytest.raises(ValueError, match="not complete"):
        suggest({"complete": False})


def test_a_flow_is_stored_whole_and_read_back(stored: dict[str, Any], tmp_path: Path) -> None:
    path, fresh = results.start(tmp_path / "flow", stored["key"])
    assert path.name == "qwenvl-scienceqa-n40-01234567.json" and not fresh["complete"]
    results.write(path, stored)
    assert results.read(path) == json.loads(json.dumps(stored))
    assert results.start(tmp_path / "flow", stored["key"])[1]["complete"]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_write_that_breaks_leaves_the_old_file(stored: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    results.write(path, stored)
    with pytest.raises(TypeError):
        results.write(path, {"kind": object()})
    assert results.read(path)["complete"] and list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(stored: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / results.file_name(stored["key"])
    for text in ("", "[]", '{"kind": "himap-flow", "schema": 2}'):
        path.write_text(text)
        with pytest.raises(DataError, match="expected a file by"):
            results.read(path)
    with pytest.raises(DataError, match="cannot read"):
        results.read(tmp_path / "none.json")
    other = copy.deepcopy(stored)
    other["key"]["split"] = "test"
    results.write(path, other)
    with pytest.raises(DataError, match="choose another --out"):
        results.start(tmp_path, stored["key"])


def test_figures_are_drawn_in_both_forms(stored: dict[str, Any], tmp_path: Path) -> None:
    png, svg = figures.draw(stored, tmp_path / "flow")
    assert png.read_bytes()[:4] == b"\x89PNG" and png.stat().st_size > 20_000
    text = svg.read_text()
    assert text.startswith("<?xml") and "</svg>" in text


def test_what_is_stored_is_read_without_torch() -> None:
    modules = ("results", "summary", "suggest", "figures")
    code = "import sys\n" + "\n".join(f"import objectives.flow.{name}" for name in modules)
    code += "\nassert not {'torch', 'transformers'} & set(sys.modules), 'torch was loaded'"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr[-1000:]
