"""torch's compiler costs no time where it is not used, and is there where it is."""

import os
import subprocess
import sys

from helpers.projects import ROOT

TRAIN = """
import sys, stages.hardware, torch, torchvision
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.AdamW([weight], fused=True)
weight.square().sum().backward()
optimizer.step()
optimizer.zero_grad()
"""
ASKED = "print('torch._dynamo.eval_frame' in sys.modules)\n"
COMPILE = """
assert torch.compile(lambda value: value + 1, backend="eager")(weight).tolist() == (weight + 1).tolist()
import torch._dynamo.config
assert torch._dynamo.utils.counters["stats"]
"""


def run(code: str) -> str:
    words = (sys.executable, "-c", code)
    return subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True).stdout


def test_a_training_step_does_not_import_the_compiler():
    """Nor does torchvision; with a new torch that asks it for more, this is what tells."""
    assert run(TRAIN + ASKED) == "False\n"


def test_who_compiles_finds_the_compiler():
    """As if nothing had stood in its place."""
    assert run(TRAIN + COMPILE + ASKED) == "True\n"
