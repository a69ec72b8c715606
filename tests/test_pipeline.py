"""dvc.yaml tells the truth: what a stage declares is what its code reads, and what it reads is declared."""

import ast
import re
import sys
from collections import defaultdict
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import packages_distributions
from itertools import product
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from helpers.projects import ROOT
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

# Rooms that every stage stands on. A stage may use a part of one: they are seldom edited, and whoever edits them should
# see that all still ends in the same bytes. Of other rooms the files are listed that a stage declares and does not use
BASE_ROOMS = {"networks", "images", "statistics", "hardware", "runtime"}
UNUSED = {
    "tune": {"stages/training/run.py"},  # what train does around a training that tune does as well
    "learning_curve": {"stages/training/run.py", "stages/training/head_run.py"},  # likewise
}
GRAPH_ALONE = {"embed"}  # stages that run a network's graph, and need not know its file

# Folders below data/ that are no stage's output, and why DVC need not know of them
OUTSIDE_DVC = {
    "data/downloads": "what came from the network, under its checksum: fetch makes the same of it",
    "data/checkpoints": "of a training that is running",
}
PATH = re.compile(r"(?:data|metrics)/[\w.*/-]+")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@cache
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
    builds = "network" in STAGES[name].get("matrix", {}) and name not in GRAPH_ALONE
    modules += [f"stages.networks.{network}"] if builds else []
    modules += [f"stages.datasets.{source}"] if name == "fetch" else []
    return files_of(declared_code(STAGES[name], **values)), imported_code(*modules)


def parameters_read(path: Path) -> set[str]:
    """Return the sections that a file's calls of `read_section` and its like name, as dvc.yaml writes them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = [(call, READERS.get(call.func.id, ())) for call in calls if isinstance(call.func, ast.Name)]
    keys = [ast.unparse(call.args[index]) for call, indices in named for index in indices]
    return {re.sub(r"\{(\w+)\}", r"${item.\1}", key.removeprefix("f").strip("'\"")) for key in keys}


def values_of(loop: ast.AST) -> dict[str, list[str]]:
    """Return the literal values that a loop over a tuple or list gives its variable; * for what is no literal."""
    generators = loop.generators if isinstance(loop, COMPREHENSIONS) else [loop]
    return {
        each.target.id: [str(item.value) if isinstance(item, ast.Constant) else "*" for item in each.iter.elts]
        for each in generators
        if isinstance(each.target, ast.Name) and isinstance(each.iter, ast.Tuple | ast.List)
    }


@cache
def paths_in(path: Path) -> set[str]:
    """Return the paths below data/ and metrics/ that a file's strings name, * for what an f-string puts in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    variables: dict[ast.AST, dict[str, list[str]]] = defaultdict(dict)
    for loop in ast.walk(tree):
        if isinstance(loop, (*COMPREHENSIONS, ast.For)):
            for node in ast.walk(loop):
                variables[node] |= values_of(loop)
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    within = {part for node in strings for part in node.values}
    found = set()
    for node in strings:
        known = variables[node]
        parts = [
            [str(part.value)] if isinstance(part, ast.Constant) else known.get(ast.unparse(part.value), ["*"])
            for part in node.values
        ]
        found |= {"".join(words) for words in product(*parts)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in within]
    found |= {node.value for node in constants if isinstance(node.value, str)}
    return {name for name in found if PATH.fullmatch(name)}


def declared_data(stage: dict) -> set[str]:
    """Return the paths below data/ and metrics/ that a stage declares, * for what dvc.yaml puts in."""
    entries = [*stage["deps"], *stage["outs"], *stage.get("metrics", [])]
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    names = [name.replace("${dataset.folder.path}", "data/pictures") for name in names]  # as it is by default
    templates = [re.sub(r"\$\{[\w.]+\}(-\$\{[\w.]+\})*", "*", name) for name in names]
    return {name for name in templates if name.startswith(("data/", "metrics/"))}


def same_place(named: str, declared: str) -> bool:
    """Say whether one of two paths lies in the other; * of what the code names stands for anything."""
    return all(
        theirs == ours or ("*" in ours and fnmatch(theirs, ours))
        for ours, theirs in zip(named.split("/"), declared.split("/"), strict=False)
    )


def covers(declared: str, read: str) -> bool:
    """Say whether a declared section is the one read or holds it."""
    return read == declared or read.startswith(f"{declared}.")


def test_every_file_directly_in_stages_is_a_stage():
    """A reader of dvc.yaml knows every stage, and every file that is none lies in a room."""
    assert set(STAGES) == {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}


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
    """No stage runs again for code that it does not use, but for parts of base rooms and the files listed above."""
    cases = [declared_and_imported(*case) for case in CASES if case[0] == name]
    declared, imported = (set().union(*files) for files in zip(*cases, strict=True))
    assert {file for file in declared - imported if file.split("/")[1] not in BASE_ROOMS} == UNUSED.get(name, set())
    used = {file.split("/")[1] for file in imported}
    assert {file.split("/")[1] for file in declared} - used == set()


@pytest.mark.parametrize(("name", "network", "source"), CASES)
def test_all_data_that_a_stage_names_is_declared(name, network, source):
    """No stage reads or writes behind DVC's back: each path in its code is declared, or is known to be nobody's."""
    declared = declared_data(STAGES[name]) | set(OUTSIDE_DVC)
    named = {path for file in declared_and_imported(name, network, source)[1] for path in paths_in(ROOT / file)}
    assert {path for path in named if not any(same_place(path, each) for each in declared)} == set()


@pytest.mark.parametrize("name", STAGES)
def test_all_data_that_is_declared_is_named(name):
    """No stage waits for data that its code does not read, nor is said to write what it does not."""
    files = set().union(*(declared_and_imported(*case)[1] for case in CASES if case[0] == name))
    named = {path for file in files for path in paths_in(ROOT / file)}
    assert {path for path in declared_data(STAGES[name]) if not any(same_place(each, path) for each in named)} == set()


def test_paths_are_found_in_strings_and_loops(tmp_path):
    """Of f-strings each value that a loop gives; a path in a sentence is none."""
    file = tmp_path / "stage.py"
    file.write_text(
        "a = [open(f'data/{name}/x') for name in ('original', other)]\n"
        "b = f'data/trained/{run}.json' + 'data/test' + 'see data/raw'\n",
        encoding="utf-8",
    )
    assert paths_in(file) == {"data/original/x", "data/*/x", "data/trained/*.json", "data/test"}


@pytest.mark.parametrize(
    ("named", "declared", "same"),
    [
        ("data/trained/*/weights.safetensors", "data/trained/*", True),
        ("data/hyperparameters/*", "data/hyperparameters/*/tuned.json", True),
        ("data/*", "data/original", True),
        ("data/test", "data/*", False),
        ("data/test", "data/testing", False),
        ("metrics/*.json", "metrics/report.md", False),
    ],
)
def test_a_path_is_declared_itself_or_by_a_folder(named, declared, same):
    """A variable of dvc.yaml allows no literal path: else `data/${item.data}` would let train read data/test."""
    assert same_place(named, declared) == same


def test_the_pipeline_and_its_files_are_small():
    """What a reader can take in: a stage declares a dozen places of code at most, no file has more than 300 lines."""
    for name, stage in STAGES.items():
        declared = declared_code(stage)
        assert len(declared) <= 12, name
        assert [dep for dep in declared if "$" not in dep and not files_of([dep])] == []
    files = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "stages").rglob("*.py")}
    assert {path: count for path, count in files.items() if count > 300} == {}


@pytest.mark.parametrize("name", STAGES)
def test_declared_params_are_what_the_stage_reads(name):
    """Each section that a stage reads is declared, and each that is declared is read."""
    declared = {key.replace("${dataset.source}", "${item.name}") for key in STAGES[name].get("params", [])}
    read = parameters_read(ROOT / f"stages/{name}.py")
    assert [key for key in read if not any(covers(section, key) for section in declared)] == []
    assert [section for section in declared if not any(covers(section, key) for key in read)] == []


def test_no_setting_has_a_name_that_dvc_overlooks():
    """Its run cache takes any `size` or `nfiles` for what it notes of files: a change would bring back old results."""

    def keys(tree: object) -> set[str]:
        below = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
        return {*(tree if isinstance(tree, dict) else ()), *(key for each in below for key in keys(each))}

    assert {"image_size", "trials"} <= (found := keys(yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))))
    assert not {"size", "nfiles"} & found


def test_nothing_that_chooses_sees_the_test_images():
    """Nothing that chooses weights or hyperparameters can look at the test set; embed reads each set alike."""
    seen = {name for name, stage in STAGES.items() for dep in stage["deps"] if "test" in dep.split("/")}
    assert "evaluate" in seen
    assert seen <= {"embed", "evaluate", "explain", "insight", "learning_curve"}


def test_rooms_are_given_the_values_of_params():
    """What stages share reads no params.yaml: dvc.yaml's params of a stage are those that its own file reads."""
    shared = [path for path in (ROOT / "stages").glob("*/**/*.py") if "commands" not in path.parts]
    assert {path: parameters_read(path) for path in shared if parameters_read(path)} == {}


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
