"""Where settings come from, and which of two wins."""

from pathlib import Path

import pytest

from spe.domain.errors import Invalid
from spe.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPE_CONFIG", "SPE_CREDENTIALS", "SPE_DATABASE_URL", "SPE_TITLE", "SPE_POLICIES"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_of_secrets_wins_over_the_environment_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.yaml").write_text("title: from the file\ndatabase_url: sqlite:////file\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "database_url").write_text("postgresql://from-a-secret\n")
    monkeypatch.setenv("SPE_CONFIG", str(tmp_path / "settings.yaml"))
    monkeypatch.setenv("SPE_CREDENTIALS", str(tmp_path / "credentials"))
    monkeypatch.setenv("SPE_DATABASE_URL", "sqlite:////environment")
    settings = Settings()
    assert (settings.database_url, settings.title) == ("postgresql://from-a-secret", "from the file")
    assert Settings(database_url="sqlite:////said").database_url == "sqlite:////said"


def test_secrets_are_read_as_a_cluster_mounts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..2026_01_01" / "database_url").write_text("postgresql://one")
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "database_url").symlink_to("..data/database_url")
    monkeypatch.setenv("SPE_CREDENTIALS", str(tmp_path))
    assert Settings().database_url == "postgresql://one"


def test_a_named_folder_of_secrets_that_is_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPE_CREDENTIALS", str(tmp_path / "nowhere"))
    with pytest.raises(Exception, match="nowhere"):
        Settings()


def test_policies_are_found_without_being_named() -> None:
    assert (Settings().policies / "roles.yaml").is_file()


def test_what_is_wrong_is_said_by_name_and_never_with_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.yaml").write_text(
        "objects: s4\nkubernetes: {gate_image: g, notebook_image: n, gate_imgae: h}\n"
    )
    monkeypatch.setenv("SPE_CONFIG", str(tmp_path / "settings.yaml"))
    monkeypatch.setenv("SPE_S3__SECRET_KEY", "a-secret-of-an-account")
    with pytest.raises(Invalid) as refused:
        Settings()
    assert set(refused.value.fields) == {"objects", "kubernetes.gate_imgae", "s3.buckets"}
    assert "a-secret-of-an-account" not in str(refused.value)
