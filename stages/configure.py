"""Stage configure: work out the settings of each network from params.yaml."""

from pydantic import NonNegativeInt

from stages.networks.common.contract import network_named
from stages.networks.common.settings import OnlineAugmentation, Search, TrainingConfig, TrainingSettings
from stages.runtime.command import run_stage
from stages.runtime.config import read_merged_section, read_section
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, write_json
from stages.runtime.study import Networks, Study

SETS = ("original", "augmented", "validation", "test")


def main() -> None:
    """Work out the settings of each network from params.yaml: what its section says, else what holds for all."""
    study, online_augmentation = read_section("study", Study), read_section("online_augmentation", OnlineAugmentation)
    seed, curves = read_section("seed", NonNegativeInt), read_section("report.learning_curve", Networks)
    if strangers := [name for name in curves if name not in study.networks]:
        raise UserError(f"params.yaml: report.learning_curve = {strangers} are no networks of study.networks")
    with atomic_folder("data/settings") as folder:
        for name in study.networks:
            network = network_named(name)
            settings = read_merged_section(
                "training", TrainingSettings, f"networks.{name}", network.schema, besides=["search"]
            )
            if name in curves and settings.freeze == "backbone":
                raise UserError(
                    f"params.yaml: report.learning_curve names {name}, whose backbone is frozen; report.insight has"
                    " the curve of its head"
                )
            search = read_merged_section("search", Search, f"networks.{name}.search", Search)
            for images in SETS:
                used = (
                    images != "augmented" or "augmented" in study.data
                )  # a search is on originals, whatever is trained on
                write_json(folder / name / f"{images}.json", {"used": used})
            start = settings.model_dump(include={"weights", "freeze", "input_size"})
            write_json(folder / name / "start.json", start)
            write_json(folder / name / "training.json", TrainingConfig(settings, online_augmentation).values())
            asked = {"seed": seed, "hyperparameters": study.hyperparameters, **search.model_dump()}
            write_json(folder / name / "search.json", asked)


if __name__ == "__main__":
    run_stage(main)
