"""The page's charts in Vega-Lite, the language that DVC's plots speak as well: each a plain dictionary.

Colours are told apart by the colour-blind (Okabe and Ito, 2008; viridis); shapes and labels say the same once more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.reporting.comparisons import BETTER, EQUAL, UNDECIDED, WORSE

Chart = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # the language's name; nothing is fetched from there
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f7f7f", "#b3a300"]
VERDICTS = {BETTER: "#0072B2", WORSE: "#D55E00", EQUAL: "#009E73", UNDECIDED: "#7f7f7f"}
ZOOM: Chart = {"name": "zoom", "select": "interval", "bind": "scales"}
MANY_CLASSES = 30  # beyond which the names no longer fit beside a confusion matrix
PERCENT = ".1~%"
FREE: Chart = {"zero": False}
DOWN: Chart = {"labelAngle": -90, "labelAlign": "right", "labelBaseline": "middle"}
SHARES: Chart = {"scheme": "viridis", "domain": [0, 1]}
WIDTH = 640  # pixels, where a chart cannot take its container's width; the page narrows it on small screens


def forest(rows: Rows) -> Chart:
    """Draw what each technique was worth; rows: technique, with, points, low, high, verdict, mean (of pairs)."""
    x = {
        "type": "quantitative",
        "title": ["points of accuracy gained", "(intervals hold all together)"],
        "axis": {"labelFlush": False},
    }
    colours = {verdict: colour for verdict, colour in VERDICTS.items() if verdict in {row["verdict"] for row in rows}}
    scale = {"domain": list(colours), "range": list(colours.values())}
    colour = {"field": "verdict", "type": "nominal", "title": None, "scale": scale}
    named = [{**row, "label": f"{row['technique']}: {row['with']}"} for row in rows]
    return full_width_chart(
        named,
        layer=[
            {"mark": {"type": "rule", "strokeDash": [4, 4], "color": "grey"}, "encoding": {"x": {"datum": 0}}},
            {
                "mark": {"type": "rule", "size": 2},
                "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "color": colour, "y": _labels()},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {
                    "x": x | {"field": "points"},
                    "y": _labels(),
                    "color": colour,
                    "shape": {"field": "mean", "type": "nominal", "legend": None, "scale": _shapes()},
                    "tooltip": tooltip_fields(rows),
                },
            },
        ],
        height=34 * len(rows),
    )


def curves(rows: Rows) -> Chart:
    """Draw validation accuracy and loss of all runs, epoch by epoch, seeds alike; rows: run, epoch, accuracy, loss."""
    colour = {"field": "configuration", "type": "nominal", "title": None, "scale": {"range": COLOURS}}
    without_seed = {"calculate": "replace(datum.run, /-[0-9]+$/, '')", "as": "configuration"}
    x = {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": {"tickMinStep": 1}, "scale": FREE}
    panels = [
        {
            "width": WIDTH,
            "height": 240,
            "params": [ZOOM | {"name": f"zoom_{name}"}],
            "transform": [without_seed, {"calculate": "datum.configuration", "as": "line"}],
            "mark": {"type": "line", "clip": True, "point": {"size": 25}},
            "encoding": {
                "x": x,
                "y": {"field": name, "type": "quantitative", "title": title, "scale": FREE},
                "color": colour,
                "detail": {"field": "run"},
                "strokeDash": {"field": "line", "type": "nominal", "legend": None},  # another field, else two legends
                "tooltip": tooltip_fields(rows),
            },
        }
        for name, title in (("accuracy", "validation accuracy"), ("loss", "validation loss (nats)"))
    ]
    legend = {"orient": "bottom", "columns": 1, "labelLimit": 400}
    return base(rows) | {"vconcat": panels, "config": {"legend": legend}}


def pareto(rows: Rows, measure: str) -> Chart:
    """Draw accuracy against seconds of training; rows: run, seconds, accuracy, front (yes: none beats it)."""
    time, axis = {"type": "log", "nice": False, "padding": 20}, {"format": PERCENT}
    encoding = {
        "x": {"field": "seconds", "type": "quantitative", "title": "seconds of training", "scale": time},
        "y": {
            "field": "accuracy",
            "type": "quantitative",
            "title": f"test {measure}",
            "axis": axis,
            "scale": FREE | {"padding": 10},
        },
    }
    front = {"filter": "datum.front === 'yes'"}
    return full_width_chart(
        rows,
        layer=[
            {"transform": [front], "mark": {"type": "line", "interpolate": "step-after", "color": "grey"}},
            {
                "params": [ZOOM],
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {
                    "color": {"field": "network", "type": "nominal", "title": None, "scale": {"range": COLOURS}},
                    "shape": {"field": "front", "type": "nominal", "title": "best for its time"},
                    "tooltip": tooltip_fields(rows),
                },
            },
        ],
        encoding=encoding,
        height=300,
    )


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Chart:
    """Draw what was taken for what: counts (true classes, predicted classes) of images, the classes in this order."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        {
            "true": names[true],
            "predicted": names[predicted],
            "images": int(counts[true, predicted]),
            "share": round(float(shares[true, predicted]), 4),
            "row": int(true) - 0.5,
            "column": int(predicted) - 0.5,
            "row_end": int(true) + 0.5,
            "column_end": int(predicted) + 0.5,
            "row_middle": int(true),
            "column_middle": int(predicted),
        }
        for true, predicted in np.argwhere(counts)
    ]
    axis: Chart = {"tickMinStep": 1, "tickCount": len(names), "grid": False, "labelLimit": 220, "labelOverlap": False}
    axis |= (
        {"labelExpr": "names[datum.value] || ''"} if len(names) <= MANY_CLASSES else {"labels": False, "ticks": False}
    )
    scale = {"domain": [-0.5, len(names) - 0.5], "nice": False}
    shown: list[Chart] = [{"field": name, "type": "nominal"} for name in ("true", "predicted", "images")]
    shown.append({"field": "share", "type": "quantitative", "format": ".1%", "title": "share of the class"})
    side = WIDTH if len(names) > MANY_CLASSES else max(240, 24 * len(names))
    places: dict[str, Chart] = {
        "x": {"field": "column", "type": "quantitative", "title": "taken for", "scale": scale, "axis": axis | DOWN},
        "y": {"field": "row", "type": "quantitative", "title": "is", "scale": scale | {"reverse": True}, "axis": axis},
    }
    cells = places | {
        "x2": {"field": "column_end"},
        "y2": {"field": "row_end"},
        "color": {"field": "share", "type": "quantitative", "title": "share of the class", "scale": SHARES},
        "tooltip": shown,
    }
    layers: list[Chart] = [{"params": [ZOOM], "mark": {"type": "rect", "clip": True}, "encoding": cells}]
    if len(names) <= MANY_CLASSES:
        dark = {"condition": {"test": "datum.share < 0.6", "value": "white"}, "value": "black"}
        middle = {axis: {**place, "field": f"{place['field']}_middle"} for axis, place in places.items()}
        text = {"type": "text", "fontSize": 10, "clip": True}
        layers.append({"mark": text, "encoding": middle | {"text": {"field": "images"}, "color": dark}})
    square = {"width": side, "height": side, "params": [{"name": "names", "value": list(names)}]}
    return base(rows) | square | {"layer": layers}


def reliability(rows: Rows) -> Chart:
    """Draw stated probability against the share that is correct; rows: when, stated, correct, images, low, high."""
    share = {"type": "quantitative", "axis": {"format": PERCENT}, "scale": {"domain": [0, 1]}}
    x = share | {"field": "stated", "title": "probability that was stated"}
    y = share | {"field": "correct", "title": "share that is correct"}
    when: Chart = {"field": "when", "type": "nominal", "title": "temperature scaling"}
    when |= {} if len({row["when"] for row in rows}) > 1 else {"legend": None}
    colour, shape = when | {"scale": {"range": COLOURS}}, when
    return full_width_chart(
        rows,
        layer=[
            {
                "data": {"values": [{"stated": 0, "correct": 0}, {"stated": 1, "correct": 1}]},
                "mark": {"type": "line", "strokeDash": [4, 4], "color": "grey"},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "rule", "opacity": 0.5},
                "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"x": x, "y": y, "color": colour, "shape": shape, "tooltip": tooltip_fields(rows)},
            },
        ],
        height=320,
    )


def class_counts(rows: Rows, names: Sequence[str]) -> Chart:
    """Draw how many images each class has; rows: class, split, images; the classes in this order."""
    many = len(names) > MANY_CLASSES
    axis: Chart = {"labels": False, "ticks": False} if many else {"labelLimit": 220, "labelOverlap": False}
    scale: Chart = {"domain": ["training", "validation", "test"], "range": COLOURS[:3]}
    encoding = {
        "y": {
            "field": "class",
            "type": "nominal",
            "sort": list(names),
            "title": "class" if many else None,
            "axis": axis,
        },
        "x": {"field": "images", "type": "quantitative", "axis": {"tickMinStep": 1}},
        "color": {"field": "split", "type": "nominal", "title": None, "scale": scale},
        "order": {"field": "rank"},
        "tooltip": tooltip_fields(rows),
    }
    ranked = [{**row, "rank": scale["domain"].index(row["split"])} for row in rows]
    return full_width_chart(ranked, mark="bar", encoding=encoding, height=max(60, (3 if many else 18) * len(names)))


def cluster_order(counts: NDArray[np.int64]) -> list[int]:
    """Return an order of classes in which those that are taken for each other stand together."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # where there are many classes
    from scipy.spatial.distance import squareform

    alike = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    apart = 1 - np.minimum(1, alike + alike.T)
    np.fill_diagonal(apart, 0)
    order: list[int] = leaves_list(linkage(squareform(apart, checks=False), "average", optimal_ordering=True)).tolist()
    return order


def full_width_chart(rows: Rows, **parts: Any) -> Chart:
    """Return a chart as wide as the page."""
    return base(rows) | {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}} | parts


def base(rows: Rows) -> Chart:
    """Return what every chart has: its language and its rows."""
    return {"$schema": SCHEMA, "data": {"values": list(rows)}}


def _labels() -> Chart:
    axis = {"labelLimit": 420, "labelExpr": "split(datum.label, ': ')"}  # in two lines: on a phone the first is cut
    return {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": axis}


def _shapes() -> Chart:
    return {"domain": [False, True], "range": ["circle", "diamond"]}


def tooltip_fields(rows: Rows) -> list[Chart]:
    """Return what hovering shows: every field of a row."""
    kinds = {float: {"type": "quantitative", "format": ".3f"}, int: {"type": "quantitative"}}
    first = rows[0] if rows else {}
    return [{"field": name} | kinds.get(type(value), {"type": "nominal"}) for name, value in first.items()]
