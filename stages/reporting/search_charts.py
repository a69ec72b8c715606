"""The page's charts of what a search has tried, in Vega-Lite."""

from stages.reporting.charts import COLOURS, FREE, Chart, Rows, base, full_width_chart, tooltip_fields

MANY_TIMES = 30  # the lowest value, from which on an axis is logarithmic
STATE: Chart = {
    "field": "state",
    "type": "nominal",
    "title": None,
    "scale": {"domain": ["complete", "pruned"], "range": ["circle", "cross"]},
}
# of an axis of logarithms the language rounds to one digit, so that 10 becomes 1e+1; what it leaves out stays so
PLAIN_NUMBER = "datum.label && format(datum.value, '~g')"
TOLD = ("trial", "state", "loss", "settings")  # of a trial under the pointer


def search(rows: Rows) -> Chart:
    """Draw the loss of each trial and the best so far; rows: network, trial, state, loss, settings."""
    colour = {"field": "network", "type": "nominal", "title": None, "scale": {"range": COLOURS}}
    axis: Chart = {"tickMinStep": 1, "format": "d"}
    x: Chart = {"field": "trial", "type": "quantitative", "title": "trial", "axis": axis, "scale": FREE}
    y: Chart = {"type": "quantitative", "title": "validation loss (nats)", "scale": FREE}
    best = {
        "window": [{"op": "min", "field": "loss", "as": "best"}],
        "sort": [{"field": "trial"}],
        "groupby": ["network"],
    }
    return full_width_chart(
        rows,
        layer=[
            {
                "transform": [{"filter": "datum.state === 'complete'"}, best],
                "mark": {"type": "line", "interpolate": "step-after", "opacity": 0.6},
                "encoding": {"x": x, "y": y | {"field": "best"}, "color": colour},
            },
            {
                "mark": {"type": "point", "size": 70, "filled": True, "opacity": 1},
                "encoding": {
                    "x": x,
                    "y": y | {"field": "loss"},
                    "color": colour,
                    "shape": STATE,
                    "tooltip": tooltip_fields(rows),
                },
            },
        ],
        height=240,
    )


def slice_plots(rows: Rows) -> Chart:
    """Draw the loss against the value of each hyperparameter; the trial under the pointer is marked in all panels.

    Rows: hyperparameter, value (a number or a word), loss, trial, state, settings.
    """
    names = list(dict.fromkeys(row["hyperparameter"] for row in rows))
    panels = [
        _slice([row for row in rows if row["hyperparameter"] == name], number) for number, name in enumerate(names)
    ]
    hovered = {"type": "point", "fields": ["trial"], "on": "pointerover", "clear": "pointerout"}
    params = [{"name": "hovered", "select": hovered, "views": [panel["name"] for panel in panels]}]
    return base(rows) | {"params": params, "concat": panels, "columns": 3}


def _slice(rows: Rows, number: int) -> Chart:
    name, values = rows[0]["hyperparameter"], [row["value"] for row in rows]
    x: Chart = {
        "field": "value",
        "title": name.removeprefix("online_augmentation."),
        "type": "nominal",
        "axis": {"labelAngle": 0},
    }
    if not any(isinstance(value, str) for value in values):
        log = min(values) > 0 and max(values) >= MANY_TIMES * min(values)
        scale = FREE | {"nice": False, "padding": 10} | ({"type": "log"} if log else {})
        x |= {
            "type": "quantitative",
            "scale": scale,
            "axis": {"tickCount": 4, "labelExpr": PLAIN_NUMBER, "labelOverlap": True},
        }
    marked: Chart = {"param": "hovered", "empty": False}
    return {
        "name": f"slice_{number}",
        "transform": [{"filter": {"field": "hyperparameter", "equal": name}}],
        "width": 180,
        "height": 140,
        "mark": {"type": "point", "filled": True, "opacity": 0.8},
        "encoding": {
            "x": x,
            "y": {"field": "loss", "type": "quantitative", "title": "loss", "scale": FREE | {"padding": 6}},
            "shape": STATE | {"legend": None},
            "color": {"condition": marked | {"value": COLOURS[1]}, "value": COLOURS[0]},
            "size": {"condition": marked | {"value": 180}, "value": 50},
            "tooltip": tooltip_fields([{name: row[name] for name in TOLD} for row in rows]),
        },
    }
