"""Floor 5: one paper a file; a family is found by its file, and no list is edited."""

from __future__ import annotations

import sys
from types import ModuleType

from ganzoo.zoo import registry


class _Callable(ModuleType):
    """Importing this package puts it where the function `ganzoo.families` was, so it answers as that does."""

    def __call__(self) -> list[str]:
        """The names of all families, sorted."""
        return registry.families()


sys.modules[__name__].__class__ = _Callable
