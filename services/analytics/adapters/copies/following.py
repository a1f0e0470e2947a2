"""What a process that follows the archive keeps between two looks at it: the manifest, and what it may remove when."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.analytics.adapters.copies import copying as copies
from services.analytics.adapters.copies import manifests, tails
from services.analytics.adapters.copies.archive import Archive
from services.analytics.adapters.copies.manifests import Manifests
from services.analytics.adapters.copies.modes import make_folder
from services.analytics.adapters.tasks import Follow, Place
from services.analytics.domain.layout import SUMMARIES, TAIL, TailFile, tail_path
from services.analytics.domain.manifest import NO_TAIL, Manifest, has_moved, next_pass

# Files to add in one pass: what is staged of them fits on the disk for temporary files.
_PASS_BYTES: Final = 256 * 1024 * 1024
# A question that reads a tail may have waited for others.
_GRACE_SECONDS: Final = 20.0


class Follower:
    """Follows an archive."""

    def __init__(self, place: Place, grace_seconds: float = _GRACE_SECONDS) -> None:
        self._place = place
        self._grace_seconds = grace_seconds
        self._root = Path(place.root)
        self._manifests = Manifests(self._root)
        self._gone: dict[Path, float] = {}
        self._archive: Archive | None = None
        for left in (path for prefix in (copies.ASIDE, tails.ASIDE) for path in self._root.glob(f"{prefix}*")):
            shutil.rmtree(left)  # by a process that was killed

    def bring_up(self, *, is_all: bool) -> bool:
        """Brings the copies up to the archive, or part of the way, and their tail up to its tail.

        Args:
            is_all: whether to look at the archive even if its tail shows that nothing was archived since.

        Returns:
            Whether files of the archive were taken in: there may be more.

        Raises:
            FileNotFoundError: a file of the tail has gone meanwhile.
            Unavailable: a storage cannot be reached, or a file went away meanwhile.
        """
        archive = self._archive = self._archive or Archive(self._place.archive_url)
        make_folder(self._root)
        known = self._manifests.read()
        # Before the archive: what is written meanwhile is then in both, and never in neither.
        shown = archive.shown()
        is_done = known.summaries == SUMMARIES
        if not is_all and is_done and not has_moved(known.tail, shown):
            return self._show(archive, known, shown)
        listed = archive.listed()
        todo = next_pass(known, listed, _PASS_BYTES)
        if todo.is_empty and is_done:
            return self._show(archive, known, shown)
        made = copies.brought_up(archive, self._root, known, listed, todo)
        if all(file.path in made.sources for file in listed):  # else rows would be missing between the two
            made = made._replace(tail=tails.made(archive, self._root, made, shown))
        else:
            made = made._replace(tail=NO_TAIL)
        manifests.write(self._root, made)
        copies.remove_others(self._root, made)
        self._tidy(made)
        return True

    def _show(self, archive: Archive, known: Manifest, shown: Sequence[TailFile]) -> bool:
        if known.tail.sources != {file.path for file in shown}:
            tail = tails.made(archive, self._root, known, shown)
            manifests.write_tail(self._root, known.id, tail)
            known = known._replace(tail=tail)
        self._tidy(known)
        return False

    def _tidy(self, known: Manifest) -> None:
        """Removes files of tails that were replaced a while ago."""
        named = {self._root / tail_path(partition, part.name) for (_, partition), part in known.tail.parts.items()}
        now = time.monotonic()
        found = {path for path in (self._root / TAIL).glob("*/*/*.parquet") if path not in named}
        self._gone = {path: self._gone.get(path, now) for path in found}
        for path, since in self._gone.items():
            if now - since >= self._grace_seconds:
                path.unlink(missing_ok=True)


class Followers:
    """Follows the archives that it is asked to follow."""

    def __init__(self) -> None:
        self._known: dict[Place, Follower] = {}

    def bring_up(self, task: Follow) -> bool:
        """See `Follower.bring_up`."""
        if task.place not in self._known:
            self._known[task.place] = Follower(task.place)
        return self._known[task.place].bring_up(is_all=task.is_all)
