"""What an image installs is cut out of the pins: complete, hashed, and nothing by accident."""

from pathlib import Path

import pytest

from images import requirements


def test_the_committed_lists_are_current() -> None:
    for path, text in requirements.files().items():
        assert path.read_text() == text, f"{path} is stale; run `make requirements`"


def test_every_line_is_pinned_and_hashed() -> None:
    for path, text in requirements.files().items():
        for entry in text.split("\n", 1)[1].replace("\\\n", " ").splitlines():
            assert "==" in entry, (path, entry)
            assert "--hash=sha256:" in entry, (path, entry)


def test_a_distribution_brings_what_needs_it_and_nothing_else() -> None:
    pins = requirements.read_pins(
        "a==1 \\\n    --hash=sha256:00\n    # via spe (pyproject.toml)\n"
        "b==2 \\\n    --hash=sha256:01\n    # via\n    #   a\n    #   c\n"
        "c==3 \\\n    --hash=sha256:02\n    # via spe (pyproject.toml)\n"
    )
    assert requirements.closure(["a"], pins) == ["a", "b"]
    assert requirements.written(["b"], pins).endswith("b==2 \\\n    --hash=sha256:01\n")
    with pytest.raises(ValueError, match="missing"):
        requirements.closure(["missing"], pins)


def test_two_versions_of_one_distribution_are_refused(tmp_path: Path) -> None:
    for file in requirements.PINS:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(f"a=={len(file)} \\\n    --hash=sha256:00\n")
    with pytest.raises(ValueError, match="a is pinned"):
        requirements.all_pins(tmp_path)


def test_the_gate_is_small_and_the_notebook_carries_what_people_expect() -> None:
    pins = requirements.all_pins()
    gate = requirements.closure(requirements.roots_of("gate"), pins)
    notebook = requirements.closure(requirements.roots_of("notebook"), pins)
    assert len(gate) < 15
    assert {"acro", "jupyterlab", "jupyterhub", "pandas", "scipy", "matplotlib", "ipykernel"} <= set(notebook)
    assert not {"kubernetes", "hvac", "boto3", "fastapi", "psycopg"} & set(notebook)
    assert pins["pandas"].lines[0].startswith("pandas==2."), "acro wants pandas 2"


def test_the_gate_serves_the_files_of_the_very_interface_that_the_notebook_runs() -> None:
    made = requirements.files()
    assets = next(text for path, text in made.items() if path.name == "assets.txt")
    notebook = next(text for path, text in made.items() if path.parent.name == "notebook")
    for name in requirements.ASSETS:
        line = next(line for line in assets.splitlines() if line.startswith(f"{name}=="))
        assert line in notebook.splitlines()
