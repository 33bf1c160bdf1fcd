"""HTTP requests with one deadline, a size limit and no redirects, for servers that the caller need not trust.

A redirect is an `HTTPError` like any other refusal: following it would send the key to a host that the spec does not
name. `urllib` limits the time of each read, not of all reads together, so a server that sends a byte now and then would
never be given up; here the deadline covers everything from the connection to the last byte.
"""

import http.client
import io
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from functools import cache, partial
from socket import SocketIO, socket
from typing import IO, Any

_CHUNK = 1 << 16


class ResponseTooLarge(Exception):
    """A response has, or declares, more bytes than the caller accepts."""


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> bytes:
    """The body of the response to a POST request.

    Raises:
        urllib.error.HTTPError: The status is not 2xx; redirects included. Its body obeys the same deadline.
        OSError, http.client.HTTPException: The connection fails, or `timeout_s` seconds are over.
        ResponseTooLarge: The response has more than `max_bytes` bytes. No more than these are read.
    """
    request = urllib.request.Request(url, body, dict(headers))
    with _opener().open(request, timeout=timeout_s) as response:
        if (response.length or 0) > max_bytes:
            raise ResponseTooLarge
        return read_at_most(response, max_bytes)


def fault_of_server(url: str, timeout_s: float) -> str:
    """Why there is no HTTP server at this address; empty if one answers, whatever it says, or is only slow."""
    try:
        with _opener().open(urllib.request.Request(url), timeout=timeout_s):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return ""
    except urllib.error.URLError as error:  # no connection
        return str(error.reason) or type(error.reason).__name__
    except TimeoutError:  # connected, but busy
        return ""
    except http.client.RemoteDisconnected:
        return "it hangs up"
    except (http.client.HTTPException, ValueError):  # what it sent is not quoted: it may hold a key
        return "it does not speak HTTP"
    except OSError as error:
        return str(error).strip() or type(error).__name__


def read_at_most(response: Any, max_bytes: int) -> bytes:
    """The rest of a response. Raises `ResponseTooLarge` and what a lost connection raises."""
    found = bytearray()
    while chunk := response.read(min(_CHUNK, max_bytes + 1 - len(found))):
        found += chunk
        if len(found) > max_bytes:
            raise ResponseTooLarge
    return bytes(found)


@cache
def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirects, _Http, _Https)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until a point in time."""

    def __init__(self, raw: SocketIO, sock: socket, end: float):
        self._raw, self._sock, self._end = raw, sock, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_remaining(self._end))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket, *args: Any, end: float, **fields: Any):
        super().__init__(sock, *args, **fields)
        assert isinstance(self.fp, io.BufferedReader)
        raw = self.fp.detach()
        assert isinstance(raw, SocketIO)
        self.fp = io.BufferedReader(_DeadlineReader(raw, sock, end))


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, *args: Any, **fields: Any):
        super().__init__(*args, **fields)
        assert self.timeout is not None
        self._end = time.monotonic() + self.timeout
        self.response_class = partial(_Response, end=self._end)  # pyright: ignore[reportAttributeAccessIssue]

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_remaining(self._end))


class _HttpsConnection(_HttpConnection, http.client.HTTPSConnection):
    """TLS on top: `HTTPSConnection.connect` is the next in line."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, req)


def _remaining(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
