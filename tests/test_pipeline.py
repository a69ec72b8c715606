"""dvc.yaml tells the truth: what a stage declares is what its code reads, and what it reads is declared."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from benchmarks.studies import ROOT
from stages.fetch import source_names

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
NETWORKS = sorted(path.stem for path in (ROOT / "stages/networks").glob("[!_]*.py"))
CASES = [
    (name, network, source)
    for name, stage in STAGES.items()
    for network in (NETWORKS if "network" in stage.get("matrix", {}) else ["-"])
    for source in (source_names() if name == "fetch" else ["-"])
]

READERS = {
    "read_section": (0,),
    "read_merged_section": (0, 2),
}  # of stages/runtime/config.py: which arguments name sections

# Rooms by floor: each uses only rooms below its own
FLOORS = {
    "support": 0,
    **dict.fromkeys(["spreading", "fetching", "inference", "evidence"], 1),
    **dict.fromkeys(["preparing", "networks", "learning", "sources", "scoring", "page"], 2),
    **dict.fromkeys(["tuning", "commands", "using"], 3),
}

# Files of declared rooms that a stage does not import, with the reason why they may run it again
SELDOM = "seldom edited, and whoever edits it should see that all still ends in the same bytes"
QUICK = "the stage takes seconds"
ORDER = "labels would change with it, and all that follows"
BEHIND = "its results change with that file in any case, for the images or weights it reads do"
UNUSED = {
    "fetch": dict.fromkeys(
        ["support/shards.py", "spreading/cluster.py"], "what follows runs only if the images change"
    ),
    "augment": {"support/names.py": ORDER},
    "tune": dict.fromkeys(["inference/runs.py", "learning/launching.py", "learning/one_run.py"], SELDOM)
    | {"support/names.py": ORDER},
    "train": {"support/names.py": ORDER},
    "evaluate": {"support/names.py": ORDER, "support/streams.py": BEHIND},
    "report": dict.fromkeys(
        [f"support/{name}.py" for name in ("cores", "depth", "formats", "images", "shards")], QUICK
    ),
}


def imported_code(*modules: str) -> set[str]:
    """Return the project's files that modules import, directly or not; empty ones hold no code."""
    finder = ModuleFinder(path=[str(ROOT)])
    for module in modules:
        finder.import_hook(module)
    files = [Path(module.__file__) for module in finder.modules.values() if module.__file__]
    return {file.relative_to(ROOT).as_posix() for file in files if file.stat().st_size}


def declared_code(stage: dict, **values: str) -> list[str]:
    """Return the files and rooms of code among a stage's deps, with values put into their ${...}."""
    deps = [re.sub(r"\$\{([\w.]+)\}", lambda match: values.get(match[1], match[0]), dep) for dep in stage["deps"]]
    return [dep for dep in deps if dep.startswith("stages/")]


def files_of(declared: list[str]) -> set[str]:
    """Return the files that declared code stands for: itself, or all of a room; empty ones hold no code."""
    paths = [ROOT / dep for dep in declared]
    files = [file for path in paths for file in ([path] if path.suffix else path.rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix() for file in files if file.stat().st_size}


def declared_and_imported(name: str, network: str, source: str) -> tuple[set[str], set[str]]:
    """Return the files that a stage declares and those it imports, when it works with a network or a source."""
    values = {"item.network": network, "dataset.source": source, "dataset.folder.path": "data/pictures"}
    modules = [f"stages.{name}"]
    modules += [f"stages.networks.{network}"] if "network" in STAGES[name].get("matrix", {}) else []
    modules += [f"stages.datasets.{source}"] if name == "fetch" else []
    return files_of(declared_code(STAGES[name], **values)), imported_code(*modules)


def parameters_read(path: Path) -> set[str]:
    """Return the sections that a file's calls of `read_section` and its like name, as dvc.yaml writes them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = [(call, READERS.get(call.func.id, ())) for call in calls if isinstance(call.func, ast.Name)]
    keys = [ast.unparse(call.args[index]) for call, indices in named for index in indices]
    return {re.sub(r"\{(\w+)\}", r"${item.\1}", key.removeprefix("f").strip("'\"")) for key in keys}


def covers(declared: str, read: str) -> bool:
    """Say whether a declared section is the one read or holds it."""
    return read == declared or read.startswith(f"{declared}.")


def test_every_file_directly_in_stages_is_a_stage():
    """A reader of dvc.yaml knows every entry point, and every entry point but classify is in dvc.yaml."""
    assert {*STAGES, "classify"} == {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}


@pytest.mark.parametrize("name", STAGES)
def test_command_runs_the_module_of_the_same_name(name):
    """Stage and module share a name, stages/run finds the Python, and no word of params.yaml reaches a shell."""
    assert STAGES[name]["cmd"] == f"/bin/sh stages/run {name}"


@pytest.mark.parametrize(("name", "network", "source"), CASES)
def test_all_code_that_a_stage_imports_is_declared(name, network, source):
    """No change of code can go unnoticed: each file is declared itself or lies in a declared room."""
    declared, imported = declared_and_imported(name, network, source)
    assert imported - declared == set()


@pytest.mark.parametrize("name", STAGES)
def test_all_code_that_is_declared_is_used(name):
    """No stage runs again for code that it does not use, but for the few files of its rooms that are listed above."""
    cases = [declared_and_imported(*case) for case in CASES if case[0] == name]
    declared, imported = (set().union(*files) for files in zip(*cases, strict=True))
    assert sorted(declared - imported) == sorted(f"stages/{file}" for file in UNUSED.get(name, {}))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_names_few_places(name):
    """Its own file, a network or source, and the rooms it uses: each holds code, and there are at most six."""
    declared = declared_code(STAGES[name])
    assert len(declared) <= 6
    assert [dep for dep in declared if "$" not in dep and not files_of([dep])] == []


def test_the_pipeline_and_its_rooms_are_small():
    """What a reader can take in: dvc.yaml within three screens, no room over 1,300 lines, no file over 300."""
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 130
    files = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "stages").rglob("*.py")}
    assert {path: count for path, count in files.items() if count > 300} == {}
    rooms = {path.parent for path in files} - {ROOT / "stages"}
    sizes = {room: sum(count for path, count in files.items() if path.parent == room) for room in rooms}
    assert {room: count for room, count in sizes.items() if count > 1300} == {}


@pytest.mark.parametrize("name", STAGES)
def test_declared_params_are_what_the_stage_reads(name):
    """Each section that a stage reads is declared, and each that is declared is read."""
    declared = {key.replace("${dataset.source}", "${item.name}") for key in STAGES[name].get("params", [])}
    read = parameters_read(ROOT / f"stages/{name}.py")
    assert [key for key in read if not any(covers(section, key) for section in declared)] == []
    assert [section for section in declared if not any(covers(section, key) for key in read)] == []


def test_only_evaluate_sees_the_test_images():
    """Nothing that chooses weights or hyperparameters can look at the test set."""
    assert [name for name, stage in STAGES.items() if "data/test" in stage["deps"]] == ["evaluate"]


def test_rooms_read_no_params_and_import_downwards_alone():
    """What stages share is given its values, and an arrow of imports runs from a higher floor to a lower one."""
    for path in sorted((ROOT / "stages").glob("*/**/*.py")):
        room = path.relative_to(ROOT / "stages").parts[0]
        assert parameters_read(path) == set(), path
        text = path.read_text(encoding="utf-8")
        imported = {found[1] for found in re.finditer(r"^ *(?:from|import) stages\.(\w+)", text, re.MULTILINE)} - {room}
        assert {name for name in imported if FLOORS[name] >= FLOORS[room]} == set(), path
        assert "from stages import" not in text, path


def test_every_setting_says_what_it_does():
    """Each line of params.yaml that sets a value explains it, in its own comment or once for a network above it."""
    explained: set[str] = set()
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        key, _, rest = line.partition(":")
        if rest.strip() and not line.startswith("#"):
            assert "#" in rest or key.strip() in explained, line
            explained.add(key.strip())


def test_what_stages_import_is_what_make_installs():
    """A study runs without what tests and benchmarks need: nothing of it may be there by chance alone."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "stages").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"stages"}
    known = packages_distributions()
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    missing = {name for name in packages if not locked & {canonicalize_name(each) for each in known[name]}}
    assert missing == set()
    assert "pytest" not in locked


def test_what_git_must_and_must_not_hold():
    """The lock of the default study is committed; nothing that names a package host or belongs to DVC is."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {"dvc.lock", "data/.gitignore", ".dvc/config", "requirements.lock", "metrics/report.md"} <= set(listed)
    assert not [name for name in listed if name.endswith(("uv.lock", ".parquet", ".safetensors"))]
    for lock in ROOT.glob("requirements*.lock"):
        assert "://" not in re.sub(r"#.*", "", lock.read_text(encoding="utf-8")), lock.name
