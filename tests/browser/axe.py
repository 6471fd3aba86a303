"""What axe-core, a foreign judge of barriers, and the page's own edges say of an open page."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

# What reaches beyond the right edge, when the page scrolls sideways at all.
WIDE = """
() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')]
  .filter((e) => e.getBoundingClientRect().right > innerWidth)
  .map((e) => `${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 40)}`)
"""
AXE = Path(__file__).resolve().parents[1] / "judges" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm ci --prefix tests/judges")
judges_all = pytest.mark.timeout(600)  # whoever looks at every page in every look may take long on a busy machine
RUN = "axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)"


def barriers(page: Page) -> list[str]:
    """One line for each element that breaks a rule of axe-core."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return [f"{v['id']}: {node['target']} {node['failureSummary']}" for v in found for node in v["nodes"]]
