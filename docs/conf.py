"""How Sphinx builds these pages; `make docs` calls it."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

project = "Loupe"
author = "the Loupe contributors"
project_copyright = "2026, the Loupe contributors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "metrics_reference"]
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = "Loupe"
html_copy_source = False
html_show_sphinx = False

# Every reference has to lead somewhere. Only names of Python are let through: most of them lie in other projects, or
# in modules that have no page here.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Reference"]

OUTSIDE = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\./[^)#]+)(#[^)]*)?\)")
"""A link of Markdown to a file of the repository that is no page of the site."""


def name_files_outside(_app: Sphinx, page: str, source: list[str]) -> None:
    """Replaces links to files outside of the site by their names; a code host shows the links themselves."""

    def name(link: re.Match[str]) -> str:
        if not (HERE / link[2]).exists():
            logging.getLogger(__name__).warning("%s: %s does not exist", page, link[2], location=page)
        file = link[2].removeprefix("../")
        return f"`{file}`" if link[1] in file else f"{link[1]} (`{file}`)"

    source[0] = OUTSIDE.sub(name, source[0])


def setup(app: Sphinx) -> None:
    """Connects what this file adds to Sphinx."""
    app.connect("source-read", name_files_outside)
