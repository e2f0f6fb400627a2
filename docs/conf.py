"""Build the documentation: `nox -s docs`, or `sphinx-build -W docs docs/_build/html`."""

from __future__ import annotations

import sys
from pathlib import Path

from ccv2_async import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import drawings  # type: ignore[import-not-found]  # noqa: E402  # it is next to this file

project = "ccv2_async"
author = "the ccv2_async developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "drawn/*.md"]

# Every link to this package must have a target; links to other packages need none.
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r".*"),  # a word in back-quotes may be anything
    ("py:.*", r"(?!ccv2_async).*"),
    ("py:class", r"ccv2_async\..*\.(T|P|R|Result_co)"),  # type variables
]

# A bare name such as Clock in a signature may stand for one of two classes: either link will do.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "both"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
# Copied shell sessions contain neither prompts nor output.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Source", "returns_style")]

html_theme = "furo"
html_title = f"ccv2_async {release}"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

drawings.write(HERE / "drawn")
