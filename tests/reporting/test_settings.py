"""The table of hyperparameters: what each network was trained with, and what a search has changed."""

from stages.reporting.settings import settings_section
from stages.runtime.study import Configuration


def rows(*columns: tuple[str, str, dict]) -> dict[str, list[str]]:
    """Return the cells of the table's rows by their first, for runs of original and augmented images."""
    records = {
        Configuration(network, hyperparameters, data): [{"settings": settings}]
        for network, hyperparameters, settings in columns
        for data in ("original", "augmented")
    }
    lines = settings_section(records)[-1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| -")]
    return {first: rest for first, *rest in cells}


def test_what_a_search_changed_is_bold():
    """Beside the default of the same network; what a network does not have is a dash."""
    cells = rows(
        ("own_cnn", "default", {"learning_rate": 0.002, "dropout": 0.0, "flip": True}),
        ("own_cnn", "tuned", {"learning_rate": 0.0067543, "dropout": 0.0, "flip": False}),
        ("resnet50", "default", {"learning_rate": 0.001}),
        ("resnet50", "tuned", {"learning_rate": 0.001}),
    )
    assert cells == {
        "setting": ["own_cnn default", "own_cnn tuned", "resnet50 default", "resnet50 tuned"],
        "dropout": ["0", "0", "–", "–"],
        "flip": ["true", "**false**", "–", "–"],
        "learning_rate": ["0.002", "**0.006754**", "0.001", "0.001"],
    }


def test_where_nothing_was_found_nothing_is_bold():
    """Nor where tuned settings stand alone; and no sentence speaks of it."""
    alone = {Configuration("own_cnn", "tuned", "original"): [{"settings": {"epochs": 5}}]}
    heading, sentence, table = settings_section(alone)
    assert heading == "## Settings"
    assert "bold" not in sentence
    assert "**" not in table


def test_a_file_of_weights_is_text():
    """A person may call it anything."""
    cells = rows(("own_cnn", "default", {"weights": "My|<b>file*.safetensors"}))
    assert cells["weights"] == ["My\\", "&lt;b&gt;file\\*.safetensors"]  # an escaped bar, split here at the bar
