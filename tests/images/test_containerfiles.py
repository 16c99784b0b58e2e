"""Each image holds what its process imports and no more of the project; each is made the same careful way."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from images import requirements
from tests.images.containerfiles import NAMES, ROOT, read

PYTHON = tuple(name for name in NAMES if name != "proxy")
# The whole package lies in the control image; what its parts for other places import is never asked for there.
LATE = {
    "control": {
        "jupyterhub",
        "kubernetes_asyncio",
        "kubespawner",
        "tornado",
        "traitlets",
        "pyseccomp",
        "lifelines",
        "msprime",
        "numpy",
        "pandas",
    }
}


@pytest.mark.parametrize("name", NAMES)
def test_every_image_starts_from_the_base_that_the_build_names(name: str) -> None:
    file = read(name)
    assert file.instructions[0].startswith("ARG BASE_IMAGE=")
    outside = {line.split()[1] for line in file.instructions if line.startswith("FROM ")}
    stages = {line.split()[3] for line in file.instructions if line.startswith("FROM ") and " AS " in line}
    assert outside - stages == {"${BASE_IMAGE}"}


@pytest.mark.parametrize("name", NAMES)
def test_every_image_is_hardened_labelled_and_runs_as_an_account_without_rights(name: str) -> None:
    final = read(name).final
    assert any("/steps/harden" in line for line in final)
    assert "USER 1000:1000" in final
    assert any(line.startswith("LABEL org.opencontainers.image.title=") for line in final)
    last_run = max(n for n, line in enumerate(final) if line.startswith("RUN "))
    assert last_run < final.index("USER 1000:1000"), "nothing is installed after the account is set"


@pytest.mark.parametrize("name", NAMES)
def test_the_same_first_steps_stand_first_so_that_images_share_their_layers(name: str) -> None:
    head = read(name).instructions[:5]
    assert head == read("gate").instructions[:5]
    assert read(name).final[:3] == read("gate").final[:3]


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{a.name}" for a in node.names if _is_module(f"{node.module}.{a.name}")}
    return found


def _is_module(dotted: str) -> bool:
    place = ROOT / dotted.replace(".", "/")
    return dotted.startswith("spe") and (place.with_suffix(".py").is_file() or (place / "__init__.py").is_file())


@pytest.mark.parametrize("name", PYTHON)
def test_an_image_holds_every_module_of_ours_that_it_imports(name: str) -> None:
    held = {path for path in read(name).sources() if path.suffix == ".py" and ROOT / "spe" in path.parents}
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in held}
    wanted = {m for path in held for m in _imports(path) if _is_module(m)}
    assert not wanted - modules


@pytest.mark.parametrize("name", PYTHON)
def test_an_image_installs_every_library_that_its_modules_import(name: str) -> None:
    pins = requirements.all_pins()
    installed = set(requirements.closure(requirements.roots_of(name), pins))
    carries = packages_distributions()
    held = {path for path in read(name).sources() if path.suffix == ".py" and ROOT / "spe" in path.parents}
    tops = {imported.partition(".")[0] for path in held for imported in _imports(path)}
    foreign = {top for top in tops if top not in sys.stdlib_module_names and top != "spe"}
    missing = {top for top in foreign if not {requirements.canonical(d) for d in carries.get(top, [top])} & installed}
    assert missing <= LATE.get(name, set())


def test_nothing_of_the_control_plane_is_in_a_notebook_or_a_gate() -> None:
    for name in ("notebook", "gate", "hub", "checker"):
        parts = {p.relative_to(ROOT).parts[1] for p in read(name).sources() if (ROOT / "spe") in p.parents}
        assert not parts & {"services", "web", "reconciler", "bootstrap", "settings.py"}, name
    adapters = {p.parent.name for p in read("checker").sources() if (ROOT / "spe" / "adapters") in p.parents}
    assert adapters <= {"adapters", "checker", "bubblewrap"}
