"""Matplotlib figures as SVG that belongs to the page: its fonts, its light and dark colours, no fixed ids, no scripts.

Figures are drawn in roles ("ink", "grid", "m-cnn"), each an impossible colour until `inline_svg` puts the page's CSS
variable in its place. Lengths are CSS pixels: a figure 360 wide fills a phone with letters of their natural size.
"""

import io
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import sha1

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .typography import typeset

# Our methods keep their colours in every report, "m-" before the name; other methods take the rest in turn.
OWN_COLOUR = (
    "majority", "logistic", "svm", "spreading", "probe", "cnn", "finetune", "consistency", "semi-gan", "gan-augment",
    "ensemble",
)  # fmt: skip
OTHER_ROLES = ("m-other-1", "m-other-2", "m-other-3", "m-other-4", "m-other-5", "m-other-6")
_ROLES = ("ink", "muted", "grid", "band", "surface", *(f"m-{name}" for name in OWN_COLOUR), *OTHER_ROLES)
COLOUR = {role: f"#f0f0{i:02x}" for i, role in enumerate(_ROLES)}  # what stands for a role inside matplotlib
_VARIABLE = {colour: f"var(--{role})" for role, colour in COLOUR.items()}
# Matplotlib's names of markers.
FAMILY_SHAPES = {"floor": "X", "traditional": "s", "pretrained": "^", "network": "o", "gan": "D", "ensemble": "P"}

PIXELS_PER_INCH = 72  # matplotlib's SVG user unit is 1/72 inch; the page shows one unit as one CSS pixel


def colour_role(method: str, methods: Sequence[str]) -> str:
    """Return the colour role of one of the study's methods: its own, or else one by its place among the others."""
    if method in OWN_COLOUR:
        return f"m-{method}"
    others = [m for m in methods if m not in OWN_COLOUR]
    return OTHER_ROLES[others.index(method) % len(OTHER_ROLES)]


def family_shape(family: str) -> str:
    """Return the marker of a family of methods, so that it shows without colour too."""
    return FAMILY_SHAPES.get(family, "o")


def new_figure(width: int, height: int, *, left: int, right: int, top: int, bottom: int) -> tuple[Figure, Axes]:
    """Return a figure of width x height pixels with one set of axes inside the margins.

    To be called and filled inside `figure_style()`.
    """
    figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH)
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes(box)
    axes.set_axisbelow(True)
    axes.tick_params(length=4, pad=5)
    return figure, axes


def figure_style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws in the page's style."""
    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "sparring",
            "text.parse_math": False,  # a class may be called $x$
            "font.family": ["DejaVu Sans"],  # comes with matplotlib; only used to measure
            "font.size": 12.5,
            "text.color": COLOUR["ink"],
            "axes.labelcolor": COLOUR["muted"],
            "axes.edgecolor": COLOUR["muted"],
            "axes.linewidth": 1.0,
            "xtick.color": COLOUR["muted"],
            "ytick.color": COLOUR["muted"],
            "xtick.minor.size": 0,
            "ytick.minor.size": 0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.unicode_minus": True,
        }
    )


def inline_svg(figure: Figure, *, alt: str, kind: str = "") -> Markup:
    """Return the figure as an inline <svg>; `alt` describes it to those who hear the page."""
    out = io.StringIO()
    with figure_style(), warnings.catch_warnings():
        # Letters that the font lacks are only measured with it: the browser has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    width, height = (round(v * PIXELS_PER_INCH) for v in figure.get_size_inches())
    body = _svg_body(out.getvalue(), salt=f"{kind} {alt}")
    head = (
        f'<svg class="figure {kind}" role="img" aria-label="{escape(typeset(alt))}" viewBox="0 0 {width} {height}" '
        f'style="max-width:{round(1.12 * width)}px">'
    )
    return Markup(head + body + "</svg>")


def _svg_body(svg: str, *, salt: str) -> str:
    """Return what is inside matplotlib's <svg>: lean, in the page's colours, with ids that no other figure has."""
    body = svg[svg.index(">", svg.index("<svg ")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    # An "s" is in no colour: "#f0f01f..." would be taken for one of ours.
    prefix = "s" + sha1((salt + body).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:10]
    body = re.sub(r"<[^>]*>", lambda tag: _lean_tag(tag[0], prefix), body)
    body = re.sub(r">\s+<", "><", body)
    while "<g></g>" in body:
        body = body.replace("<g></g>", "")
    return body


def _lean_tag(tag: str, prefix: str) -> str:
    """Return one tag made smaller. Text between tags, which users may have written, never passes here."""
    tag = re.sub(r"\s+", " ", tag)
    if tag.startswith(("<g ", "<text ", "<g>")):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = re.sub(r'(id="|xlink:href="#|url\(#)', lambda m: m[1].replace("xlink:", "") + prefix, tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", tag)
    tag = re.sub(r"-?\d+\.\d{2,}", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), tag)
    tag = re.sub("#f0f0[0-9a-f]{2}", lambda c: _VARIABLE[c[0]], tag)
    return tag.replace("; stroke-linejoin: miter", "").replace("; stroke-linecap: square", "").replace(" >", ">")
