"""With which hyperparameters each network was trained, which is what the study asks second."""

from typing import Any

from stages.reporting.markdown import escaped, table
from stages.reporting.records import Records

Settings = dict[str, Any]


def settings_section(records: Records) -> list[str]:
    """Return a table of what each network was trained with, by default and tuned; what differs is bold."""
    columns: dict[tuple[str, str], Settings] = {
        (configuration.network, configuration.hyperparameters): _used(of_seeds[0]["settings"])
        for configuration, of_seeds in records.items()
    }
    names = dict.fromkeys(name for settings in columns.values() for name in settings)
    rows = [[name, *(_shown(name, key, columns) for key in columns)] for name in sorted(names)]
    found = [key for key, settings in columns.items() if settings != _defaults(key, columns)]
    bold = " What the search found better than the defaults is bold." if found else ""
    return [
        "## Settings",
        f"With what the networks were trained; params.yaml and docs/references/settings.md explain them. `image_size`"
        f" is how many pixels a side the network sees.{bold}",
        table(["setting", *(" ".join(key) for key in columns)], rows),
    ]


def _used(settings: Settings) -> Settings:
    """Return settings but those of a head where none is fitted to a frozen backbone."""
    head = settings.get("freeze") == "backbone"
    return {name: value for name, value in settings.items() if head or not name.startswith("head_")}


def _shown(name: str, key: tuple[str, str], columns: dict[tuple[str, str], Settings]) -> str:
    if name not in columns[key]:
        return "–"
    value = columns[key][name]
    text = f"{value:.4g}" if isinstance(value, float) else escaped(str(value))
    if isinstance(value, bool):
        text = text.lower()  # as YAML has it
    return text if value == _defaults(key, columns).get(name) else f"**{text}**"


def _defaults(key: tuple[str, str], columns: dict[tuple[str, str], Settings]) -> Settings:
    """Return the settings of the same network's default runs, or where there are none its own."""
    return columns.get((key[0], "default"), columns[key])
