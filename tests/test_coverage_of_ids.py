"""tests/coverage_of_ids.md says which test tries what; this checks that it is so."""

import re
from pathlib import Path

HERE = Path(__file__).parent
LAST = {"S": 60, "B": 72, "R": 24}


def rows() -> dict[str, str]:
    """Number -> "test..." or "none: why"."""
    text = (HERE / "coverage_of_ids.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| ([SBR]\d\d) \| .+ \| (.+) \|$", text, re.M))


def test_the_list_of_numbers_is_whole():
    assert list(rows()) == [f"{kind}{i:02}" for kind, last in LAST.items() for i in range(1, last + 1)]


def test_what_is_said_to_be_tested_is_and_what_is_not_has_a_reason():
    named: set[str] = set()
    for path in HERE.glob("*.py"):
        if path != Path(__file__):
            named.update(re.findall(r"\b[SBR]\d\d\b", path.read_text(encoding="utf-8")))
    assert all(where.startswith(("test", "none: ")) for where in rows().values())
    said = {number for number, where in rows().items() if where.startswith("test")}
    assert said == named
