"""Classes by their names: `boot` is Fashion-MNIST's class 9, `Ankle boot`."""

import difflib
import re
from collections.abc import Sequence

from ganzoo.types import BadArgument


def class_index(name: str, names: Sequence[str] | None) -> int:
    """The index of a class by its name, in any case; a word of the name will do where no other class has it.

    Args:
        name: of the class, or its index in digits, unless a class has these for its name.
        names: of all classes, by index; None where they have none.
    """
    if names and name.strip() in names:
        return list(names).index(name.strip())
    wanted = _words(name)
    if name.strip().isdecimal():
        return int(name)
    if not names:
        raise BadArgument(f"label {name!r}: a number is expected, as these classes have no names")
    known = [_words(each) for each in names]
    if wanted in known:
        return known.index(wanted)
    meant = [k for k, words in enumerate(known) if wanted and set(wanted) <= set(words)]
    if len(meant) == 1:
        return meant[0]
    near = difflib.get_close_matches(" ".join(wanted), list(map(" ".join, known)), n=3, cutoff=0.6)
    if meant:
        hint = f"several classes have that in their names: {', '.join(names[k] for k in meant[:8])}"
    elif near:
        hint = f"did you mean {' or '.join(names[known.index(each.split())] for each in near)}?"
    else:
        hint = f"the classes are {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
    raise BadArgument(f"label {name!r}: there is no such class; {hint}")


def class_list(text: str) -> list[int | str]:
    """The classes that a text such as `boot,coat` or `0-3,boot` lists: ranges by index, others for `class_index`."""
    found: list[int | str] = []
    for piece in text.split(","):
        span = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", piece)
        if span is None:
            found.append(piece.strip())
            continue
        first, last = int(span[1]), int(span[2])
        if not first <= last < first + 100_000:
            raise BadArgument(f"labels {piece.strip()}: a range runs from a class to a later one")
        found.extend(range(first, last + 1))
    return found


def _words(name: str) -> list[str]:
    return re.findall(r"\w+", name.lower().replace("_", " "))
