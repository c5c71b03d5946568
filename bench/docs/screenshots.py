"""Take pictures of every page of the dashboard, in light and dark, on a laptop and on a wide screen.

    python -m bench.docs.screenshots --storage sqlite:///himap.db [--out docs/dashboard] [--pair 'qwenvl · pope']

The Trial page shows the tokens of its first question whose answer differs from dense's; the model that was
searched must be on this machine.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from bench import command
from bench.dashboard.serving import chromium, serving

PAGES = ("Fronts", "Trial", "Search", "Compare", "Export", "Flow", "New search", "Jobs")
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (1280, 1920)
LEAST, MOST = 700, 2400  # pixels high
_BOTTOM = """(() => {
  const main = document.querySelector('[data-testid=stMain]');
  main.scrollTo(0, 0);
  const drawn = main.querySelector('[data-testid=stMainBlockContainer] > [data-testid=stVerticalBlock]');
  return drawn.getBoundingClientRect().bottom;
})()"""


def shoot(address: str, out: Path, pair: str, number: str) -> None:
    """Write PAGE-THEME-WIDTH.png for each page."""
    out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for theme in THEMES:
            for width in WIDTHS:
                context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=theme)
                tab = context.new_page()
                tab.set_default_timeout(240_000)
                tab.goto(address)
                _open(tab, pair)
                for page in PAGES:
                    tab.get_by_role("link", name=page, exact=True).click()
                    _settle(tab)
                    if page == "Trial":
                        _show_tokens(tab, number)
                    _save(tab, width, out / f"{page.lower().replace(' ', '-')}-{theme}-{width}.png")
                context.close()


def _open(tab: Any, pair: str) -> None:
    tab.wait_for_selector(".js-plotly-plot")
    if pair:
        tab.locator("[data-testid=stSelectbox] input").first.click()
        tab.get_by_text(pair, exact=True).last.click()
    _settle(tab)


def _settle(tab: Any) -> None:
    """Wait until the page is drawn and nothing runs."""
    tab.wait_for_timeout(1500)
    tab.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner]')")
    tab.wait_for_timeout(1500)


def _show_tokens(tab: Any, number: str) -> None:
    """Open the requested trial, and the tokens that remain of a question."""
    if number:
        tab.get_by_role("spinbutton", name="Any number").fill(number)
        tab.keyboard.press("Enter")
        _settle(tab)
    tab.get_by_role("button", name="Show surviving tokens").click()
    tab.locator("text=/After K2|failed:/").first.wait_for()
    _settle(tab)


def _save(tab: Any, width: int, path: Path) -> None:
    """Save the whole page."""
    bottom = tab.evaluate(_BOTTOM)
    tab.set_viewport_size({"width": width, "height": int(min(MOST, max(LEAST, bottom + 40)))})
    tab.wait_for_timeout(2500)
    tab.mouse.move(1, 1)  # away from elements that show a hint
    Image.open(io.BytesIO(tab.screenshot())).convert("RGB").save(path, optimize=True)
    tab.set_viewport_size({"width": width, "height": 1000})


def main(arguments: list[str] | None = None) -> int:
    """Take all pictures."""
    parser = command.parser("bench.docs.screenshots", __doc__)
    parser.add_argument("--storage", required=True, metavar="URL")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboard"), metavar="DIR")
    parser.add_argument("--pair", default="", help="as the selector writes it, as in 'qwenvl · pope'")
    parser.add_argument("--trial", default="", metavar="N", help="trial to show (default: the suggested one)")
    options = parser.parse_args(arguments)
    with serving(options.storage) as address:
        shoot(address, options.out, options.pair, options.trial)
    return 0


if __name__ == "__main__":
    sys.exit(main())
