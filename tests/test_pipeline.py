"""dvc.yaml tells the truth: what a stage declares is what its code reads, and what it reads is declared."""

import ast
import re
import subprocess
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
import yaml

from benchmarks.studies import ROOT
from stages.fetch import source_names

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
NETWORKS = sorted(path.stem for path in (ROOT / "stages/networks").glob("[!_]*.py"))


def imported_code(*modules: str) -> set[str]:
    """Return the project's files that modules import, directly or not; empty ones hold no code."""
    finder = ModuleFinder(path=[str(ROOT)])
    for module in modules:
        finder.import_hook(module)
    files = [Path(module.__file__) for module in finder.modules.values() if module.__file__]
    return {file.relative_to(ROOT).as_posix() for file in files if file.stat().st_size}


def declared_code(stage: dict, **values: str) -> set[str]:
    """Return the code among a stage's deps, with values put into their ${...}."""
    deps = [re.sub(r"\$\{([\w.]+)\}", lambda match: values[match[1]], dep) for dep in stage["deps"] if ".py" in dep]
    return {dep for dep in deps if dep.startswith("stages/")}


def parameters_read(path: Path) -> set[str]:
    """Return the sections that a file's calls of `read` name, with f-strings as dvc.yaml writes them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    keys = [ast.unparse(call.args[0]) for call in calls if isinstance(call.func, ast.Name) and call.func.id == "read"]
    return {re.sub(r"\{(\w+)\}", r"${item.\1}", key.removeprefix("f").strip("'\"")) for key in keys}


def covers(declared: str, read: str) -> bool:
    """Say whether a declared section is the one read or holds it."""
    return read == declared or read.startswith(f"{declared}.")


def test_every_file_directly_in_stages_is_a_stage():
    """A reader of dvc.yaml knows every entry point, and every entry point is in dvc.yaml."""
    assert set(STAGES) == {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}


@pytest.mark.parametrize("name", STAGES)
def test_command_runs_the_module_of_the_same_name(name):
    """Stage and module share a name, and the words behind it are the stage's matrix."""
    words = "".join(f" ${{item.{axis}}}" for axis in STAGES[name].get("matrix", {}))
    assert STAGES[name]["cmd"] == f"python -m stages.{name}{words}"


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", [name for name in STAGES if name != "fetch"])
def test_declared_code_is_what_the_stage_imports(name, network):
    """Neither can a change of code go unnoticed, nor does a stage run for code that it does not use."""
    modules = [f"stages.{name}"]
    if "network" in STAGES[name].get("matrix", {}):
        modules.append(f"stages.networks.{network}")
    assert declared_code(STAGES[name], **{"item.network": network}) == imported_code(*modules)


@pytest.mark.parametrize("source", source_names())
def test_fetch_declares_its_source_and_what_sources_share(source):
    """Fetch depends on the chosen source's file and on no other's, and on all code that sources import."""
    every_source = {f"stages/sources/{name}.py" for name in source_names()}
    imported = imported_code("stages.fetch", *(f"stages.sources.{name}" for name in source_names()))
    declared = declared_code(STAGES["fetch"], **{"dataset.source": source, "dataset.folder.path": "data/pictures"})
    assert declared == imported - every_source | {f"stages/sources/{source}.py"}


@pytest.mark.parametrize("name", STAGES)
def test_declared_params_are_what_the_stage_reads(name):
    """Each section that a stage reads is declared, and each that is declared is read."""
    declared, read = set(STAGES[name].get("params", [])), parameters_read(ROOT / f"stages/{name}.py")
    assert [key for key in read if not any(covers(section, key) for section in declared)] == []
    assert [section for section in declared if not any(covers(section, key) for key in read)] == []


def test_only_evaluate_sees_the_test_pictures():
    """Nothing that chooses weights or hyperparameters can look at the test set."""
    assert [name for name, stage in STAGES.items() if "data/test" in stage["deps"]] == ["evaluate"]


def test_libraries_read_no_params_and_import_no_stage():
    """What stages share is given its values: a section read in a library would escape the declarations above."""
    for path in (ROOT / "stages/lib").glob("*.py"):
        assert parameters_read(path) == set(), path
        stages_imported = re.findall(
            r"^from stages\.(?!lib\b)[\w.]+|^from stages import (?!lib)", path.read_text(), re.M
        )
        assert stages_imported == [], path


def test_every_setting_says_what_it_does():
    """Each line of params.yaml that sets a value explains it, in its own comment or once for a network above it."""
    explained: set[str] = set()
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        key, _, rest = line.partition(":")
        if rest.strip() and not line.startswith("#"):
            assert "#" in rest or key.strip() in explained, line
            explained.add(key.strip())


def test_what_git_must_and_must_not_hold():
    """The lock of the default study is committed; nothing that names a package host or belongs to DVC is."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {"dvc.lock", "data/.gitignore", ".dvc/config", "requirements.lock", "metrics/report.md"} <= set(listed)
    assert not [name for name in listed if name.endswith(("uv.lock", ".parquet", ".safetensors"))]
    assert "://" not in re.sub(r"#.*", "", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
