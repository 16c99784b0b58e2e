"""The quick way through a table gives exactly the table that the CSV reader gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spe.disclosure.columns import Form
from spe.disclosure.outline import Outline
from spe.disclosure.regular import regular
from spe.disclosure.tables import MAX_COLUMNS, _any_table, _delimiter, read_delimited

CELLS = st.sampled_from(
    [
        *("", "0", "7", "12", "-3", "5.0", "5.25", ".5", "5.", "1e5", "NA", ".", "-", "<10", "12 (34%)", "3/4", " 8"),
        *("9 ", "1,204", "x;y", "\u20039", "nan", "inf", "1_000", "female", "80 and over", "n", "9" * 16, "9" * 330),
        "\u0663",
    ]
)
ENDS = st.sampled_from(["", "\n", "\n\n", "\r\n", ",\n", " \n"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Mostly tables of one width, some of them odd."""
    delimiter = draw(st.sampled_from(",;\t|"))
    width = draw(st.integers(1, 4))
    row = st.lists(CELLS, min_size=width, max_size=width).map(delimiter.join)
    rows = draw(st.lists(row, max_size=12))
    header = draw(st.sampled_from([delimiter.join(["group", "n", "mean", "%"][:width]), '"a"', ""]))
    return "\n".join([header, *rows]) + draw(ENDS)


@given(texts())
@settings(max_examples=600)
def test_a_table_is_the_same_whichever_way_it_is_read(text):
    quick, careful = read_delimited(text, None), _any_table(text, _delimiter(text), None)
    assert _plain(quick) == _plain(careful)


def _plain(table):
    """Everything but how it was told that a column is numeric."""
    columns = getattr(table, "columns", ())
    told = [(one.index, one.name, one.cells, one.distinct, one.form, one.role) for one in columns]
    return told, getattr(table, "rows", None), getattr(table, "defects", table)


@pytest.mark.parametrize(
    "text",
    ['a,b\n1,"2"\n', "a,b\r\n1,2\r\n", "a,b\n\n1,2\n", "a,b\n1,2,3\n", "a,b\n , \n1,2\n", "", "\n", "a,b\n1,2\n\n"],
)
def test_whatever_is_odd_is_left_to_the_csv_reader(text):
    assert regular(Outline(text=text), ",", MAX_COLUMNS) is None


def test_a_table_with_too_many_columns_is_left_to_the_csv_reader():
    assert regular(Outline(text="a,b,c\n1,2,3\n"), ",", 2) is None


def test_a_cell_that_the_csv_reader_finds_too_long_is_left_to_it():
    assert regular(Outline(text="a,b\n1," + "x" * 200_000 + "\n"), ",", MAX_COLUMNS) is None


def test_a_plain_table_is_cut_into_its_columns():
    form = regular(Outline(text="group,mean\na,1.5\nb,2.25\n"), ",", MAX_COLUMNS)
    first, second = form.columns(["group", "mean"], 1)
    assert first.cells == ("a", "b")
    assert (second.cells, second.form, second.numeric) == (("1.5", "2.25"), Form.DECIMAL, True)


def test_a_header_that_looks_like_a_row_does_not_hide_what_the_rows_hold():
    form = regular(Outline(text="a,b\na,b\n1,2\n"), ",", MAX_COLUMNS)
    assert not form.columns(["a", "b"], 1)[1].numeric
