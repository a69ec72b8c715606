"""Markdown tables that can be read as plain text too."""

import re
from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table, padded to equal width, the first `left` columns left-aligned, the others right."""
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(columns))]
    rule = ["-" * width if number < left else "-" * (width - 1) + ":" for number, width in enumerate(widths)]
    lines = [cells[0], rule, *cells[1:]]
    padded = [
        [*map(str.ljust, line[:left], widths[:left]), *map(str.rjust, line[left:], widths[left:])] for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def escaped(name: str) -> str:
    """Return a name so that Markdown shows it as it is, also in a table: no markup, no HTML, no line break.

    What means nothing where it stands stays: the underscore within a word. Source: GitHub Flavored Markdown Spec, 6.1.
    """
    name = re.sub(r"[\\`*\[\]~|$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", name)
    name = re.sub(r"&(?=#?\w+;)", "&amp;", name).replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"\s", " ", re.sub(r"\r\n|[\n\r\v\f\x85\u2028\u2029]", " ↵ ", name))


def percent(fraction: float) -> str:
    """Return 0.5 as 50.0 %."""
    return f"{100 * fraction:.1f} %"


def points(difference: float) -> str:
    """Return a difference of two fractions, 0.05, in percentage points: +5.0."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"  # no -0.0


NAMES = {
    "own_cnn": "own CNN",
    "resnet50": "ResNet50",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_v2_s": "EfficientNetV2-S",
    "mobilenet_v3_large": "MobileNetV3-Large",
    "convnext_tiny": "ConvNeXt-Tiny",
}


def network_name(network: str) -> str:
    """Return a network's name as people write it."""
    return NAMES.get(network, network)


def bounds(low: float, high: float) -> str:
    """Return an interval of fractions in per cent, without the sign."""
    return f"{100 * low:.1f}–{100 * high:.1f}"


def duration(seconds: float) -> str:
    """Return 177 as 2 min 57 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
