"""Classes by their names."""

import pytest

from ganzoo.data.classes import class_index, class_list
from ganzoo.data.fashion_mnist import CLASSES
from ganzoo.types import BadArgument


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("Ankle boot", 9),
        ("ankle_boot", 9),
        ("boot", 9),
        ("BOOT", 9),
        ("Coat", 4),
        ("T-shirt/top", 0),
        ("t-shirt", 0),
        ("top", 0),
        ("3", 3),
        (" 7 ", 7),
    ],
)
def test_a_class_by_its_name_a_word_of_it_or_its_number(name: str, index: int) -> None:
    assert class_index(name, CLASSES) == index


def test_a_whole_name_comes_before_a_word_of_another() -> None:
    assert CLASSES[class_index("shirt", CLASSES)] == "Shirt", "not the T-shirt"
    assert class_index("not smiling", ("not Smiling", "Smiling")) == 0
    assert class_index("Smiling", ("not Smiling", "Smiling")) == 1


def test_a_class_that_is_named_by_a_number_is_meant_by_it() -> None:
    names = ("1", "10", "2")  # of folders, in their order
    assert [class_index(each, names) for each in ("1", " 10 ", "2")] == [0, 1, 2]
    assert [class_index(each, names) for each in class_list("10,2") if isinstance(each, str)] == [1, 2]
    assert class_index("0", names) == 0, "no class's name, and so an index"
    assert [class_index(str(k), [*map(str, range(10))]) for k in range(10)] == list(range(10))


@pytest.mark.parametrize(
    ("name", "names", "text"),
    [
        ("boat", CLASSES, r"^label 'boat': there is no such class; did you mean .*[cC]oat.*\?$"),
        ("", CLASSES, r"the classes are T-shirt/top, Trouser, "),
        ("red", ("red car", "red bus", "blue car"), r"several classes have that in their names: red car, red bus$"),
        ("boot", None, "a number is expected, as these classes have no names"),
        ("qqq", tuple(f"mode {k}" for k in range(100)), r"mode 11, \.\.\.$"),
    ],
)
def test_what_is_no_class_is_refused_in_a_line(name: str, names: tuple[str, ...] | None, text: str) -> None:
    with pytest.raises(BadArgument, match=text) as caught:
        class_index(name, names)
    assert "\n" not in str(caught.value)


def test_lists_of_classes() -> None:
    assert class_list("boot,coat") == ["boot", "coat"]
    assert class_list("0-3, ankle boot ,5,t-shirt") == [0, 1, 2, 3, "ankle boot", "5", "t-shirt"]
    assert class_list("0-9") == list(range(10)) and class_list("7 - 8") == [7, 8]
    for text in ("3-1", "0-99999999"):
        with pytest.raises(BadArgument, match="a range runs from a class to a later one"):
            class_list(text)
    for text in ("boot,", "-3"):
        with pytest.raises(BadArgument, match="there is no such class"):
            [class_index(each, CLASSES) for each in class_list(text) if isinstance(each, str)]
