"""How a search went, as charts."""

from __future__ import annotations

from dashboard.analysis import search_history
from dashboard.analysis.importance import importance
from dashboard.figures.search_charts import growth_figure, importance_figure, pruned_figure, running_figure
from tests.dashboard.generated_store import pruned, searched


def test_the_figures_show_what_was_computed() -> None:
    trials = searched(60)
    grown = search_history.growth(trials)
    figure = growth_figure({"a<b>": grown, "other": grown}, 0.5, seconds=True)
    assert figure.data[0].name == "a&lt;b&gt;"
    assert list(figure.data[0].x) == list(grown.seconds)
    result = importance(trials)
    assert result is not None
    assert len(importance_figure(result).data[0].y) == 6
    assert running_figure(search_history.running_trials(trials)).data[0].y is not None
    assert list(pruned_figure([pruned(1)], 500).data[0].x) == [96]
