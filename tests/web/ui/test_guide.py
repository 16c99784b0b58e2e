"""The pictures of guide and README: each is there, served by the portal itself, and told in words."""

import re
from pathlib import Path

import pytest

import spe.web
from spe.web.ui.guide import MANUAL

PICTURES = MANUAL / "pictures"
README = Path(spe.web.__file__).parents[2] / "README.md"
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
SHOWN = [
    (page, *found) for page in (README, *sorted(MANUAL.glob("*.md"))) for found in PICTURE.findall(page.read_text())
]


@pytest.mark.parametrize(("page", "words", "place"), SHOWN, ids=lambda value: getattr(value, "name", None))
def test_a_picture_is_there_and_told_in_words(page, words, place):
    assert (page.parent / place).is_file()
    assert len(words) > 40
    assert words.endswith(".")


def test_every_picture_is_shown_somewhere():
    assert {Path(place).name for _, _, place in SHOWN} == {file.name for file in PICTURES.iterdir()}


def test_the_portal_serves_the_pictures_of_its_guide(furnished, browsers):
    page = browsers("researcher").get("/guide/researcher")
    sources = [image.attributes["src"] for image in page.root.all("img")]
    assert len(sources) == 3
    for source in sources:
        answer = browsers("").client.get(f"/guide/{source}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/png"
