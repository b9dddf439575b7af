"""Watching the other ranks: when one is killed, the others end too, and say which it was.

Left alone, a rank waits for a dead one for half an hour, at start-up above all. Each rank knows the processes of those
on its machine: rank 0 those that it started, these rank 0, and all of them each other once they have met. On other
machines the launcher watches.
"""

import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch.distributed

from ganzoo.types import GanzooError

_PARENT: Final = "GANZOO_FIRST_RANK"  # the process that started the other ranks
_LOOK, _GRACE = 0.5, 10.0  # seconds between two looks, and for the training itself to come to an end


class Watch(L.Callback):
    """Ends this rank when another one is gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[int, int] = {}  # of the ranks on this machine
        self._stopped = threading.Event()
        self.said = False  # that a rank is gone
        self._trainer: L.Trainer | None = None
        self._parent = int(os.environ.get(_PARENT) or 0)

    def start(self, trainer: L.Trainer) -> None:
        """Begins to watch, before the ranks have met."""
        if trainer.world_size == 1:
            return
        self._trainer = trainer
        environment: Any = getattr(trainer.strategy, "cluster_environment", None)
        if not self._parent and not environment.creates_processes_externally:
            os.environ[_PARENT] = str(os.getpid())
        threading.Thread(target=self._watch, daemon=True, name="ranks").start()

    def stop(self) -> None:
        """Ends watching."""
        self._stopped.set()
        if not self._parent:
            os.environ.pop(_PARENT, None)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Tells each rank the processes of the others."""
        if trainer.world_size == 1:
            return
        ranks: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(ranks, (socket.gethostname(), os.getpid()))
        here = socket.gethostname()
        self._processes = {rank: pid for rank, (host, pid) in enumerate(ranks) if host == here and pid != os.getpid()}

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Says at once that a rank is gone, where that is why training failed: torchrun ends this process next."""
        if trainer.world_size > 1 and not isinstance(exception, (GanzooError, KeyboardInterrupt)):
            text = self.lost(patience=2)
            if text is not None:
                self.said = True
                print(f"ganzoo: {text}", file=sys.stderr, flush=True)

    def lost(self, patience: float = 0.0) -> str | None:
        """What is to be said when a rank is gone, for which it waits so many seconds; None while all are there."""
        until = time.monotonic() + patience
        while True:
            gone = self._gone()
            if gone is not None:
                again = shlex.join(["ganzoo", "train", str(self.folder), "--resume"])
                return f"rank {gone} is gone, so this one ends; what was saved stays, and {again} goes on"
            if time.monotonic() >= until:
                return None
            time.sleep(0.1)

    def _gone(self) -> int | None:
        started = dict(enumerate(self._started(), 1))
        ended = [rank for rank, child in started.items() if child.poll() not in (None, 0)]
        others = {**({0: self._parent} if self._parent else {}), **self._processes}
        ended += [rank for rank, process in others.items() if rank not in started and not _runs(process)]
        return min(ended, default=None)

    def _started(self) -> Sequence[subprocess.Popen[bytes]]:
        """The processes of the other ranks that this one started."""
        return getattr(getattr(getattr(self._trainer, "strategy", None), "launcher", None), "procs", ())

    def _watch(self) -> None:
        since: float | None = None
        while not self._stopped.wait(_LOOK):
            since = (since or time.monotonic()) if self._gone() is not None else None
            text = self.lost() if since is not None and time.monotonic() - since >= _GRACE else None
            if text is not None and not self._stopped.is_set():
                print(f"ganzoo: {text}", file=sys.stderr, flush=True)
                for child in self._started():
                    child.kill()
                os._exit(1)  # the training itself waits for the rank, where nothing can be raised


def _runs(process: int) -> bool:
    """Whether a process is there, and more than a name that its parent has not read yet."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return state[0] not in "ZX"
    return True
