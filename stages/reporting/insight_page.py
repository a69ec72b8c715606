"""The page's sections about the images themselves: thumbnails, the learning curve, and a map of all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from stages.reporting.blocks import Block, PageImage, embedded, html, titled
from stages.reporting.charts import COLOURS, FREE, MANY_CLASSES, PERCENT, ZOOM, Chart, full_width_chart, tooltip_fields
from stages.reporting.insight import Insight, insight_sections

SHOWN_DOUBTS = 24  # images
TEN = 10  # classes, for which there are colours that are told apart at once
CHOSEN: Chart = {"name": "chosen", "select": {"type": "point", "fields": ["class"]}, "bind": "legend"}


def said(insight: Insight, name: str, *, tables: bool = True) -> Iterator[Block]:
    """Yield what report.md says in a section, with its tables if wanted."""
    parts = [part for part in insight_sections(insight)[name] if part and (tables or not part.startswith("|"))]
    if parts:
        yield Block(text=html("\n\n".join(parts)))


def doubtful(insight: Insight, names: Sequence[str]) -> Iterator[Block]:
    """Yield the images whose labels are doubted most."""
    yield from said(insight, "doubtful", tables=False)
    shown = [row for row in insight.doubtful if row["file"] in insight.images][:SHOWN_DOUBTS]
    images = [PageImage(embedded(insight.images[row["file"]]), doubt_caption(row), file=row["file"]) for row in shown]
    if images:
        yield Block(images=images)


def doubt_caption(row: Mapping[str, str]) -> str:
    """Return the given and the likelier label of a training or test image."""
    given, likelier = (f"{100 * float(row[name]):.0f}\u00a0%" for name in ("probability", "likelier_probability"))
    return f"given: {row['given']} ({given}); likelier: {row['likelier']} ({likelier}; {row['split']})"


def more_images(insight: Insight, names: Sequence[str]) -> Iterator[Block]:
    """Yield accuracy by the number of training images, and how it may go on."""
    curves = insight.curves()
    heading, *parts = insight_sections(insight)["more-images"]
    count = next((at for at, part in enumerate(parts) if part.startswith("|")), len(parts))
    yield Block(text=html("\n\n".join([heading, *parts[:count]])))
    if curves:
        described = "Test accuracy by the number of training images, of each draw and on average; then what to expect."
        yield Block(chart=learning_curves(curves), description=described)
        yield Block(text=html("\n\n".join(parts[count:])))


def learning_curves(curves: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Draw accuracy by images for each draw, the means joined, and the predictions with their intervals."""
    draws: list[dict[str, Any]] = []
    means, joined, ahead = list(draws), list(draws), list(draws)
    for name, curve in curves.items():
        of = {"learned": name}
        draws += [of | {"images": at["images"], "accuracy": one} for at in curve["points"] for one in at["accuracy"]]
        means += [of | {"images": at["images"], "accuracy": mean(at["accuracy"])} for at in curve["points"]]
        ahead.append(of | dict(curve["prediction"]))
        joined += [means[-1], ahead[-1]]
    ticks = sorted({each["images"] for each in (*means, *ahead)})
    x: Chart = {"field": "images", "type": "quantitative", "title": "training images"}
    x |= {"scale": {"type": "log", "nice": False, "padding": 20}, "axis": {"values": ticks, "format": ",d"}}
    y = {"field": "accuracy", "type": "quantitative", "title": "test accuracy", "scale": FREE | {"padding": 8}}
    y["axis"] = {"format": PERCENT}
    colour: Chart = {"field": "learned", "type": "nominal", "title": None, "scale": {"range": COLOURS}}
    colour["legend"] = {"orient": "bottom", "columns": 1, "labelLimit": 400} if len(curves) > 1 else None
    at = {"x": x, "y": y, "color": colour}
    point = {"type": "point", "filled": True, "opacity": 0.6}
    return full_width_chart(
        draws,
        layer=[
            {"mark": point, "encoding": at | {"tooltip": tooltip_fields(draws)}},
            {"data": {"values": means}, "mark": {"type": "line"}, "encoding": at},
            {"data": {"values": joined}, "mark": {"type": "line", "strokeDash": [4, 4]}, "encoding": at},
            {
                "data": {"values": ahead},
                "mark": {"type": "rule", "size": 2},
                "encoding": at | {"y": y | {"field": "low"}, "y2": {"field": "high"}},
            },
            {
                "data": {"values": ahead},
                "mark": point | {"shape": "diamond", "size": 110, "opacity": 1},
                "encoding": at | {"tooltip": tooltip_fields(ahead)},
            },
        ],
        height=280,
    )


def photograph_map(insight: Insight, names: Sequence[str]) -> Iterator[Block]:
    """Yield all images as points, those alike near each other; hovering shows the image."""
    yield titled("A map of the photographs")
    described = (
        "Each point is an image; those that the network finds alike lie near each other. Crosses are doubtful labels."
        " Hover to see an image, turn the wheel to zoom"
        + (", click a class below the map to see it alone." if len(names) <= MANY_CLASSES else ".")
    )
    yield Block(chart=map_chart(insight.places, names), description=described)


def map_chart(places: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Chart:
    """Draw images at their places, coloured by class."""
    rows = []
    for place in places:
        row = {"x": place["x"], "y": place["y"], "class": names[place["label"]], "doubtful": place["doubtful"]}
        row |= {"split": place["split"], "file": place["file"]}
        rows.append(row | ({"image": embedded(place["image"])} if place["image"] else {}))
    rows.sort(key=lambda row: row["doubtful"])  # so that doubtful ones lie on top
    axis: Chart = {"type": "quantitative", "axis": None, "scale": FREE | {"padding": 8}}
    colour: Chart = {"field": "class", "type": "nominal", "title": None}
    colour["scale"] = {"range": COLOURS}
    if len(names) > len(COLOURS):
        colour["scale"] = {"scheme": "tableau10" if len(names) <= TEN else "tableau20"}
    params, opacity = [ZOOM, CHOSEN], {"condition": {"param": "chosen", "value": 0.85}, "value": 0.05}
    if len(names) > MANY_CLASSES:
        colour["legend"], params, opacity = None, [ZOOM], {"value": 0.85}
    fields = [{"field": name, "type": "nominal"} for name in ("class", "split", "file", "image")]
    shapes: Chart = {"domain": [False, True], "range": ["circle", "cross"]}
    return full_width_chart(
        rows,
        params=params,
        mark={"type": "point", "filled": True, "clip": True},
        encoding={
            "x": axis | {"field": "x"},
            "y": axis | {"field": "y"},
            "color": colour,
            "opacity": opacity,
            "shape": {"field": "doubtful", "type": "nominal", "scale": shapes, "legend": None},
            "size": {"condition": {"test": "datum.doubtful", "value": 110}, "value": 24},
            "tooltip": fields,
        },
        height=520,
        config={"legend": {"orient": "bottom", "columns": 3, "labelLimit": 180}},
    )


def same_scene(insight: Insight, names: Sequence[str]) -> Iterator[Block]:
    """Yield pairs of images in different splits that may show one scene."""
    yield from said(insight, "same-scene", tables=False)
    if images := paired(insight, insight.found["same_scene"]["shown"]):
        yield Block(images=images, paired=True)


def confused(insight: Insight, names: Sequence[str]) -> Iterator[Block]:
    """Yield the classes that are confused most, with the nearest images across the boundary."""
    yield from said(insight, "confused")
    pairs = [pair for each in insight.found["confused"] for pair in each["pairs"]]
    if images := paired(insight, pairs):
        yield Block(text=html("The most similar images of each pair of classes, side by side:"))
        yield Block(images=images, paired=True)


def paired(insight: Insight, pairs: Sequence[Mapping[str, Any]]) -> list[PageImage]:
    """Return the images of pairs, two and two."""
    return [
        PageImage(embedded(insight.images[one["file"]]), f"{one['class']} ({one['split']})", file=one["file"])
        for pair in pairs
        for one in pair["images"]
    ]


INSIGHT_SECTIONS: dict[str, Callable[[Insight, Sequence[str]], Iterator[Block]]] = {
    "doubtful": doubtful,
    "more-images": more_images,
    "map": photograph_map,
    "confused-classes": confused,
    "same-scene": same_scene,
}
