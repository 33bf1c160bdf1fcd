"""A proxy in front of a server, in a process of its own, that breaks after a number of bytes."""

import mmap
import os
import signal
import socket
import struct
import threading
from contextlib import suppress
from typing import Literal

Way = Literal["never", "cut", "killed"]
"""How it breaks: the connection that carries the last byte is reset, or the proxy kills itself with SIGKILL."""
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Passes bytes to a port of this machine, counting those of both directions. Use as a context manager."""

    def __init__(self, port: int, way: Way = "never", after: int = 0):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._target, self._way, self._after = port, way, after
        self._shared = mmap.mmap(-1, 8)
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """The bytes that it has passed."""
        return struct.unpack("q", self._shared[:8])[0]

    def __enter__(self) -> "Proxy":
        self._pid = os.fork()
        if not self._pid:
            try:
                self._serve()
            finally:
                os._exit(1)
        self._listener.close()
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._shared.close()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 12):
                with self._lock:
                    before = self.count
                    left = self._after - before
                    breaks = self._way != "never" and 0 <= left < len(data)
                    self._shared[:8] = struct.pack("q", before + len(data))
                sink.sendall(data[:left] if breaks else data)
                if breaks and self._way == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                if breaks:
                    for end in (source, sink):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    break
        except OSError:
            pass
        for end in (source, sink):
            _close(end)


def _close(end: socket.socket) -> None:
    """Close a connection that another thread may be reading."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
