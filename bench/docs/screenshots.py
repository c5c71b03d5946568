"""Pictures of every page of the dashboard, light and dark, on a laptop and on a wide screen.

python -m bench.docs.screenshots --storage sqlite:///himap.db [--out docs/dashboard] [--pair 'qwenvl · pope']

The Trial page is shown with the tokens of its first question that differs from dense, for which the model
that was searched must be on this machine.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from bench.dashboard.serving import FLAGS, serving

PAGES = ("Fronts", "Trial", "Search", "Compare", "Export", "Flow")
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
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for theme in THEMES:
            for width in WIDTHS:
                context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=theme)
                tab = context.new_page()
                tab.set_default_timeout(240_000)
                tab.goto(address)
                _prepare(tab, pair)
                for page in PAGES:
                    tab.get_by_role("link", name=page, exact=True).click()
                    _settle(tab)
                    if page == "Trial":
                        _tokens(tab, number)
                    _write(tab, width, out / f"{page.lower()}-{theme}-{width}.png")
                context.close()
        browser.close()


def _prepare(tab: Any, pair: str) -> None:
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


def _tokens(tab: Any, number: str) -> None:
    """Show the trial asked for, and what survives of a question."""
    if number:
        tab.get_by_role("spinbutton", name="Any number").fill(number)
        tab.keyboard.press("Enter")
        _settle(tab)
    tab.get_by_role("button", name="Show surviving tokens").click()
    tab.locator("text=/After K2|failed:/").first.wait_for()
    _settle(tab)


def _write(tab: Any, width: int, path: Path) -> None:
    """The whole page."""
    high = tab.evaluate(_BOTTOM)
    tab.set_viewport_size({"width": width, "height": int(min(MOST, max(LEAST, high + 40)))})
    tab.wait_for_timeout(2500)
    tab.mouse.move(1, 1)  # away from what shows a hint
    Image.open(io.BytesIO(tab.screenshot())).convert("RGB").save(path, optimize=True)
    tab.set_viewport_size({"width": width, "height": 1000})


def main(arguments: list[str] | None = None) -> int:
    """Make all pictures."""
    parser = argparse.ArgumentParser(prog="python -m bench.docs.screenshots", description="Pictures of all pages.")
    parser.add_argument("--storage", required=True, metavar="URL")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboard"), metavar="DIR")
    parser.add_argument("--pair", default="", help="as the selector writes it, as in 'qwenvl · pope'")
    parser.add_argument("--trial", default="", metavar="N", help="the trial to look into (default: suggested)")
    options = parser.parse_args(arguments)
    with serving(options.storage) as address:
        shoot(address, options.out, options.pair, options.trial)
    return 0


if __name__ == "__main__":
    sys.exit(main())
