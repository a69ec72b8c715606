"""`python -m experiments`: what makes the tables of docs/results.md, with a sentence and the minutes of each."""

from pathlib import Path

from helpers.catalogue import catalogue

MINUTES = {  # about, on two cores without a GPU; +: for each study or seed that one asks for
    "ablation": "10+",
    "augmentation_strength": "20",
    "false_claims": "40",
    "fine_tuning": "30",
    "fuzz": "5",
    "insight": "10",
    "kills": "60",
    "linear_baseline": "1",
    "plain_loop": "120",
    "pretrained_heads": "5",
    "rank_correlation": "60",
    "search_rule": "1",
    "tuning_gain": "60",
}

if __name__ == "__main__":
    print(catalogue(Path(__file__).parent, MINUTES))
