"""A program in a pseudo-terminal whose screen a terminal emulator reads."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence


class ProgramOnScreen:
    """A running program; `until` reads its screen."""

    def __init__(self, command: Sequence[object], width: int, height: int, folder: object = "."):
        import pyte

        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            try:
                os.chdir(str(folder))
                environment = os.environ | {"TERM": "xterm-256color"}
                for name in ("COLUMNS", "LINES", "NO_COLOR"):
                    environment.pop(name, None)
                self._set_size(0, width, height)
                os.execvpe(str(command[0]), [str(part) for part in command], environment)
            finally:
                os._exit(127)
        self._set_size(self._terminal, width, height)

    @staticmethod
    def _set_size(terminal: int, width: int, height: int) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        """Change the size, as the user's window does."""
        self._read()
        self._set_size(self._terminal, width, height)
        self.screen.resize(height, width)
        os.kill(self.pid, signal.SIGWINCH)

    def lines(self) -> list[str]:
        """What the screen shows, without the empty rest."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().splitlines()

    def until(self, wanted: Callable[[list[str]], bool], within_s: float = 100.0) -> list[str]:
        """The lines of the screen when they are as wanted."""
        end = time.monotonic() + within_s
        while not wanted(self.lines()):
            assert time.monotonic() < end, "\n".join(self.lines())
            self._read(0.2)
        return self.lines()

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        while self._read(1.0):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self, wait_s: float = 0.0) -> bool:
        """Read what there is; False at the end."""
        while select.select([self._terminal], [], [], wait_s)[0]:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:
                data = b""
            if not data:
                return False
            self._stream.feed(data)
            wait_s = 0.0
        return True
