"""Tables by name: a name that is not there is answered by the nearest one."""

import copy
import pickle
from dataclasses import dataclass

import pytest

from sparring.classifiers import METHODS
from sparring.errors import Table, UnknownName, UsageError


@dataclass(frozen=True)
class Row:
    what: str
    count: int


ROWS = Table("fruit", {"apple": Row("red & round", 3), "pear": Row("green", 12)}, columns=("what", "count"))


def test_an_unknown_name_is_answered_by_the_nearest():
    with pytest.raises(
        UnknownName, match="unknown fruit 'aple', did you mean apple.*choose one of apple, pear"
    ) as error:
        ROWS["aple"]
    assert isinstance(error.value, UsageError) and isinstance(error.value, KeyError) and error.value.exit_code == 2
    assert type(pickle.loads(pickle.dumps(error.value))) is UnknownName
    with pytest.raises(UsageError, match="did you mean svm"):
        METHODS["smv"]


def test_a_table_is_a_dict_otherwise():
    assert ROWS["pear"].count == 12 and list(ROWS) == ["apple", "pear"] and "aple" not in ROWS
    assert ROWS.get("aple") is None and dict(ROWS) == {**ROWS} and ROWS == copy.copy(ROWS) == dict(ROWS)
    assert pickle.loads(pickle.dumps(ROWS)).what == "fruit"


def test_a_table_shows_its_rows():
    assert repr(ROWS) == "apple  red & round  3\npear   green        12"
    assert ROWS._repr_html_() == (
        "<table><tr><th>fruit</th><th>what</th><th>count</th></tr>"
        "<tr><td>apple</td><td>red &amp; round</td><td>3</td></tr>"
        "<tr><td>pear</td><td>green</td><td>12</td></tr></table>"
    )
    assert repr(Table("fruit", {})) == ""
    assert all(name in repr(METHODS) and name in METHODS._repr_html_() for name in METHODS)
