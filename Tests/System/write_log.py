"""Reads what QEMU's block driver `blklogwrites` writes: every write, flush and discard of a disk, in the order in which they were submitted.

The format is that of Linux' dm-log-writes: a super block, then for each request one sector that names it, and its data behind it.
"""

import random
import struct

MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
WAYS = ["nothing more", "a choice", "a beginning", "pieces"]


class Request:
    __slots__ = ("offset", "length", "flags", "data_at", "end")

    def __init__(self, offset, length, flags, data_at, end):
        self.offset, self.length, self.flags, self.data_at, self.end = offset, length, flags, data_at, end

    @property
    def is_boundary(self):
        """What completed before it is on the disk."""
        return bool(self.flags & (FLUSH | FUA))


class WriteLog:
    def __init__(self, path):
        self.path = path
        self.file = open(path, "rb")
        head = self.file.read(28)
        magic, version, count, self.sector = struct.unpack("<QQQI", head)
        assert (magic, version) == (MAGIC, VERSION), f"no log of writes: {head.hex()}"
        size = path.stat().st_size
        self.requests, at = [], self.sector
        # The super block's count is that of the last flush: what came after it is read as far as it goes.
        while at + self.sector <= size:
            self.file.seek(at)
            sector, sectors, flags, _ = struct.unpack("<QQQQ", self.file.read(32))
            if len(self.requests) >= count and not (sectors or flags):
                break
            at += self.sector
            data_at = at
            if not flags & DISCARD:
                at += sectors * self.sector
            if at > size:
                break
            self.requests.append(Request(sector * self.sector, sectors * self.sector, flags, data_at, at))
        assert len(self.requests) >= count, f"{count} requests were logged, {len(self.requests)} can be read"

    def data(self, request):
        self.file.seek(request.data_at)
        return self.file.read(request.length)

    def boundaries(self):
        """Indexes of the requests behind which everything before is on the disk."""
        return [index for index, request in enumerate(self.requests) if request.is_boundary]

    def apply(self, image, first, last):
        """Requests first to last - 1, as they came, on an image (a file that is open for writing)."""
        for request in self.requests[first:last]:
            self._apply(image, request)

    def _apply(self, image, request, begin=0, end=None):
        if request.flags & DISCARD or not request.length:
            return
        image.seek(request.offset + begin)
        image.write(self.data(request)[begin:end])

    def tear(self, image, first, last, way, seed):
        """Of what was still in the disk's cache: `way` says how much of it came through."""
        rng = random.Random(seed)
        pending = [request for request in self.requests[first:last] if request.length]
        if way == "a beginning":
            pending = pending[:rng.randint(0, len(pending))]
        for request in pending:
            if way == "nothing more":
                return
            if way == "pieces":
                for begin in range(0, request.length, 512):
                    if rng.random() < 0.5:
                        self._apply(image, request, begin, begin + 512)
            elif way == "a beginning" or rng.random() < 0.5:
                self._apply(image, request)
