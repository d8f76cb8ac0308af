"""Matplotlib figures as SVG that belongs to the page: its fonts, its light and dark colours, no fixed ids, no scripts.

Figures are drawn in roles ("ink", "grid", "m-cnn") that stand as impossible colours until `drawn` puts the page's CSS
variables in their place. Lengths are CSS pixels: a figure 360 wide fills a phone with letters of their natural size.
"""

import io
import re
import warnings
from collections.abc import Iterable
from hashlib import sha1
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PLAIN = ("ink", "muted", "grid", "band", "surface")
OF_METHOD = {
    "majority": "m-majority",
    "logistic": "m-logistic",
    "svm": "m-svm",
    "spreading": "m-spreading",
    "cnn": "m-cnn",
    "consistency": "m-consistency",
    "semi-gan": "m-semi-gan",
    "gan-augment": "m-gan-augment",
    "gan-features": "m-gan-features",
    "pretrained": "m-pretrained",
}
OTHERS = ("m-other-1", "m-other-2", "m-other-3", "m-other-4")
ROLES = (*PLAIN, *OF_METHOD.values(), *OTHERS)
COLOUR = {role: f"#f0f0{i:02x}" for i, role in enumerate(ROLES)}  # what stands for a role inside matplotlib
SHAPES = {"floor": "X", "traditional": "s", "network": "o", "gan": "D"}  # the family shows without colour too

PIXELS_PER_INCH = 72  # matplotlib's SVG user unit is 1/72 inch; the page shows one unit as one CSS pixel
STYLE: Any = {
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


def role_of(method: str, methods: Iterable[str]) -> str:
    """The colour role of a method: fixed for ours, in turn for those the table does not know."""
    if method in OF_METHOD:
        return OF_METHOD[method]
    strangers = [m for m in methods if m not in OF_METHOD]
    return OTHERS[strangers.index(method) % len(OTHERS)] if method in strangers else OTHERS[0]


def shape_of(family: object) -> str:
    return SHAPES.get(str(family), "o")


def panel(width: int, height: int, *, left: int, right: int, top: int, bottom: int) -> tuple[Figure, Axes]:
    """A figure of width x height pixels with one set of axes inside the margins, to be drawn within `style()`."""
    figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH))
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes(box)
    axes.set_axisbelow(True)
    axes.tick_params(length=4, pad=5)
    return figure, axes


def style() -> Any:
    return matplotlib.rc_context(STYLE)


def drawn(figure: Figure, *, alt: str, kind: str = "") -> Markup:
    """The figure as an inline <svg> whose description for readers of the page aloud is `alt`."""
    out = io.StringIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # measured only: the browser has the letters
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    width, height = (round(v * PIXELS_PER_INCH) for v in figure.get_size_inches())
    body = _body(out.getvalue(), salt=f"{kind} {alt}")
    head = (
        f'<svg class="figure {kind}" role="img" aria-label="{escape(alt)}" viewBox="0 0 {width} {height}" '
        f'style="max-width:{round(1.12 * width)}px">'
    )
    return Markup(head + body + "</svg>")


def _body(svg: str, *, salt: str) -> str:
    """What is inside matplotlib's <svg>: lean, with page colours, and with ids that no other figure has."""
    body = svg[svg.index(">", svg.index("<svg ")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    prefix = "f" + sha1((salt + body).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:10]
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], prefix), body)
    body = re.sub(r">\s+<", "><", body)
    while "<g></g>" in body:
        body = body.replace("<g></g>", "")
    return body


_NAMES = {colour: f"var(--{role})" for role, colour in COLOUR.items()}


def _tag(tag: str, prefix: str) -> str:
    """One tag made smaller; text between tags, which users may have written, never passes here."""
    tag = re.sub(r"\s+", " ", tag)
    if tag.startswith(("<g ", "<text ", "<g>")):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = re.sub(r'(id="|xlink:href="#|url\(#)', lambda m: m[1].replace("xlink:", "") + prefix, tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", tag)
    tag = re.sub(r"-?\d+\.\d{2,}", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), tag)
    tag = re.sub("#f0f0[0-9a-f]{2}", lambda c: _NAMES[c[0]], tag)
    return tag.replace("; stroke-linejoin: miter", "").replace("; stroke-linecap: square", "").replace(" >", ">")
