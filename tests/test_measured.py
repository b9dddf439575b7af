"""`benchmarks/measured.py`: what is measured once, how values are spread, and where a table stands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import benchmark

measured = benchmark("measured")


def test_what_has_a_file_is_not_measured_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def measure() -> dict[str, int]:
        assert file.parent.is_dir(), "what else is measured may be kept beside the figures"
        calls.append(1)
        return {"value": len(calls)}

    file = tmp_path / "runs" / "one.json"
    assert measured.once(file, measure, anew=False) == {} and not file.exists()
    assert measured.once(file, measure) == measured.once(file, measure) == {"value": 1}
    assert json.loads(file.read_text()) == {"value": 1} and len(calls) == 1
    assert measured.once(file, measure, anew=False) == {"value": 1}


def test_values_are_given_with_how_far_they_lie_apart() -> None:
    values = [1.0, 2.0, 6.0]
    deviation = np.std(values, ddof=1)
    assert measured.spread(values, 2) == f"3.00 ± {deviation:.2f}"
    assert measured.spread(values, 2, of_mean=True) == f"3.00 ± {deviation / 3**0.5:.2f}"
    assert (measured.spread([1.25], 1), measured.spread([], 1)) == ("1.2", "")


@pytest.mark.parametrize("end", ["<!-- end -->", "<!-- end of table -->", "<!-- /table -->"])
def test_a_table_stands_between_the_marks(tmp_path: Path, end: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n<!-- table -->\n| old |\n|---|\n{end}\nbelow\n")
    measured.show("| new |", page)
    assert page.read_text() == f"above\n<!-- table -->\n| new |\n{end}\nbelow\n"
    assert capsys.readouterr().out == "| new |\n"


def test_a_page_has_several_tables_by_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table -->\n| one |\n<!-- end -->\n<!-- captions -->\n<!-- end -->\n")
    measured.show("| two |", page, "<!-- captions -->\n")
    assert page.read_text() == "<!-- table -->\n| one |\n<!-- end -->\n<!-- captions -->\n| two |\n<!-- end -->\n"


def test_a_page_is_made_and_one_without_marks_is_left_alone(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    for table in ("| old |", "| new |"):
        measured.show(table, page)
    assert page.read_text() == "<!-- table -->\n| new |\n<!-- end -->\n"
    other.write_text("text")
    with pytest.raises(SystemExit, match="has no line <!-- table -->"):
        measured.show("| new |", other)
    assert other.read_text() == "text"
    measured.show("| new |", None)
