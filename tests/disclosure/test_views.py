"""A preview shows what is there and can do nothing: text with visible code points, pictures written anew."""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spe.disclosure.engine import examine
from spe.disclosure.views import views_of
from tests.disclosure.cases import build, default_policy


def views(folder: Path, files: dict[str, Any]) -> dict[str, Any]:
    build(folder, files)
    found: dict[str, Any] = {}
    examine(folder, default_policy(), watch=lambda number, opened, data: found.update(views_of(number, opened, data)))
    return found


def a_picture(**more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 10)).save(out, "PNG", **more)
    return out.getvalue()


def test_a_table_is_shown_as_header_and_rows(tmp_path: Path) -> None:
    view = views(tmp_path, {"a.csv": "arm,n\nA,20\nB,30\n"})["0.json"]

    assert view == {
        "path": "a.csv",
        "kind": "table",
        "truncated": False,
        "table": {"header": ["arm", "n"], "rows": [["A", "20"], ["B", "30"]]},
    }


def test_unseen_characters_are_written_out(tmp_path: Path) -> None:
    found = views(tmp_path, {"a.csv": "arm,n\nA\u202eB,20\n", "b.txt": "x\u200by"})

    assert found["0.json"]["table"]["rows"][0][0] == "A⟨U+202E⟩B"
    assert found["1.json"]["text"] == ["x⟨U+200B⟩y"]


def test_a_path_cannot_carry_unseen_characters_into_a_page(tmp_path: Path) -> None:
    assert views(tmp_path, {"a\u202eb.txt": "x"})["0.json"]["path"] == "a⟨U+202E⟩b.txt"


def test_long_tables_and_texts_are_cut_and_say_so(tmp_path: Path) -> None:
    rows = "".join(f"{number},{number}\n" for number in range(1000))
    found = views(tmp_path, {"a.csv": "x,y\n" + rows, "b.txt": "line\n" * 1000, "c.txt": "x" * 10_000})

    assert len(found["0.json"]["table"]["rows"]) == 200
    assert len(found["1.json"]["text"]) == 500
    assert all(found[f"{number}.json"]["truncated"] for number in range(3))


def test_a_picture_is_written_anew_without_its_metadata(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Comment", "secret text")
    data = a_picture(pnginfo=info)
    (tmp_path / "a.png").write_bytes(data + b"secret tail")

    found = views(tmp_path, {})

    assert found["0.json"]["image"] == "0.png"
    assert b"secret" not in found["0.png"]
    with Image.open(io.BytesIO(found["0.png"])) as picture:
        assert picture.size == (40, 30)
        assert picture.info == {}


def test_what_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    found = views(tmp_path, {"a.pdf": "%PDF-1.7", "b.csv": {"hex": "ff00"}, "c.png": {"hex": "89504e470d0a1a0a"}})

    assert {view["kind"] for view in found.values()} == {"none"}


def test_markup_stays_text(tmp_path: Path) -> None:
    found = views(tmp_path, {"a.csv": "arm,n\n<script>alert(1)</script>,20\n"})

    assert json.loads(json.dumps(found["0.json"]))["table"]["rows"][0][0] == "<script>alert(1)</script>"
