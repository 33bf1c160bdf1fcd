"""Hostile completion servers, as the bytes that they send; `{key}` is the key that the request carried."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEY = "sk-0123456789abcdefghij"
JSON = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def answer(body: str, head: str = JSON) -> str:
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def choice(count: int = 1, text: object = "x", token: str = "token_id:7", values: object = None) -> str:
    """A response with `count` tokens."""
    logprobs = {"tokens": [token] * count, "token_logprobs": [-0.5] * count if values is None else values}
    return json.dumps({"choices": [{"text": text, "finish_reason": "length", "logprobs": logprobs}]})


INVALID = {
    "100,000 tokens": answer(choice(100_000, token="token_id:1")),
    "9 tokens": answer(choice(9)),
    "declared 10 GB": f"{JSON}Content-Length: 10000000000\r\n\r\n" + "{",
    "endless body": f"{JSON}\r\n" + "x" * 3_000_000,
    "endless chunks": f"{JSON}Transfer-Encoding: chunked\r\n\r\n" + ("10000\r\n" + "x" * 65536 + "\r\n") * 40,
    "huge id": answer(choice(token="token_id:" + "9" * 5000)),
    "negative id": answer(choice(token="token_id:-1")),
    "text as list": answer(choice(text=["x"])),
    "too few log-probabilities": answer(choice(2, values=[-1.0])),
    "null log-probability": answer(choice(values=[None])),
    "NaN log-probability": answer(choice(values=[float("nan")])),
    "infinite log-probability": answer(choice(values=[10**400])),
    "key in the sample": answer(choice(text=f"the key is {KEY}")),
}
"""E620."""

LOST = {
    "deep JSON": answer("[" * 100_000),
    "no choices": answer("{}"),
    "choices of another type": answer('{"choices": "text"}'),
    "key in the reason": f"HTTP/1.1 500 {KEY}\r\nContent-Length: 0\r\n\r\n",
    "number of 5,000 digits": answer("9" * 5000),
    "not UTF-8": answer("\udcff"),
}
"""E603."""

REFUSED = {
    "key in a message": answer(json.dumps({"error": {"message": f"bad key {KEY}"}}), "HTTP/1.1 401 no\r\n"),
    "key in text": answer(f"bad key {KEY}", "HTTP/1.1 403 no\r\n"),
    "key at the cut": answer("x" * 495 + KEY, "HTTP/1.1 400 no\r\n"),
    "message as list": answer('{"error": {"message": ["no"]}}', "HTTP/1.1 400 no\r\n"),
    "deep message": answer("[" * 60_000, "HTTP/1.1 400 no\r\n"),
    "key in the redirect": f"HTTP/1.1 302 go\r\nLocation: http://127.0.0.1:9/{KEY}\r\nContent-Length: 0\r\n\r\n",
    "redirect to a file": "HTTP/1.1 302 go\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
}
"""E604."""


@contextmanager
def raw_server(respond: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a server that reads a request's first bytes and calls `respond`; and all that it read."""
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                seen.append(connection.recv(65536))
                respond(connection)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", seen
        listener.shutdown(socket.SHUT_RDWR)


KEY_AS_STATUS_LINE = f"{KEY}\r\n\r\n"
"""E626 from the first response on, E603 later."""


def sends(text: str, first: str | None = None) -> Callable[[socket.socket], None]:
    """Answers each connection with a text. `first`: another one for the first."""
    texts = iter([] if first is None else [first])
    return lambda connection: connection.sendall(next(texts, text).encode(errors="surrogateescape"))


def drips(head: str) -> Callable[[socket.socket], None]:
    """Sends a byte of `head`, then of spaces, every 50 ms, for 20 s."""

    def respond(connection: socket.socket) -> None:
        for index in range(400):
            connection.sendall((head[index : index + 1] or " ").encode())
            time.sleep(0.05)

    return respond
