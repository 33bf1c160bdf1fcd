"""The Hub's client and its error handling: retry transient failures, explain the others.

Only 429, 5xx and connection errors are retried, a bounded number of times and no sooner than the Hub asks. The user has
to fix the cause of a refusal (401, 403, 404, ...), so it is never retried.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from astro_factory.core.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

_XET_STATUS = re.compile(r"HTTP status \w+ error \((\d{3})")
_CLOSED = ("the client has been closed", "'NoneType' object has no attribute 'request'")
"""After a connection error huggingface_hub closes its client also for the downloads of other threads."""
_FIRST_WAIT_S = 1.0
_LONGEST_BACKOFF_S = 60.0
_LONGEST_REQUESTED_WAIT_S = 300.0
"""The Hub counts requests in windows of five minutes; the user decides about longer waits."""


def hub_client() -> "HfApi":
    """A client for the endpoint and the token of the environment, without progress bars."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="astro-factory")


@dataclass
class Retries:
    """Counts the transient failures of one operation."""

    repo: str
    attempts: int = 6
    failures: int = 0

    def wait(self, error: Exception) -> None:
        """Sleep after a transient failure.

        Raises:
            UserError: the failure is permanent, or too many have occurred.
            Exception: the error itself, if it does not come from the Hub.
        """
        if not _is_transient(error):
            explained = as_user_error(error, self.repo)
            raise explained from (error if explained is not error else error.__cause__)
        self.failures += 1
        delay = max(_requested_wait_s(error), min(_FIRST_WAIT_S * 2 ** (self.failures - 1), _LONGEST_BACKOFF_S))
        if self.failures >= self.attempts or delay > _LONGEST_REQUESTED_WAIT_S:
            cause = f"the Hub is not available for {self.repo}: {_message(error)}"
            remedy = "try again later; finished builds, uploads and downloads are kept"
            if delay > _LONGEST_REQUESTED_WAIT_S:
                remedy = f"the Hub asks to wait {delay:.0f} s; " + remedy
            raise UserError.of("E704", cause, remedy) from error
        time.sleep(delay)


def with_retries(repo: str, call: Callable[[], T]) -> T:
    """The result of an idempotent call, such as one that only reads; transient failures are retried."""
    retries = Retries(repo)
    while True:
        try:
            return call()
        except Exception as error:
            retries.wait(error)


def status_of(error: BaseException) -> int:
    """The HTTP status behind an error, however the client wrapped it; 0 if there was no response.

    Xet, which transfers large files, reports refusals as connection errors with the status in the text.
    """
    from huggingface_hub.errors import HfHubHTTPError

    for found in _chain(error):
        if isinstance(found, HfHubHTTPError):
            return found.response.status_code
        if isinstance(found, ConnectionError) and (match := _XET_STATUS.search(str(found))):
            return int(match[1])
    return 0


def as_user_error(error: Exception, repo: str) -> Exception:
    """The matching `UserError` (E701 to E707), or the error itself if it does not come from the Hub."""
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    chain = list(_chain(error))
    if any(isinstance(e, OfflineModeIsEnabled) for e in chain):
        return UserError.of(
            "E705",
            f"{repo} is on the Hub, but HF_HUB_OFFLINE is set",
            "unset HF_HUB_OFFLINE, use a `file:` destination, or build with --no-publish",
        )
    status, message = status_of(error), _message(error)
    if not status:
        return error
    if any(isinstance(e, RepositoryNotFoundError) for e in chain) and status != 403:
        return UserError.of(
            "E703",
            f"there is no repository {repo} on the Hub, or your token has no access to it",
            "check the name, and sign in with `hf auth login` or HF_TOKEN if it is private",
        )
    if status == 401:
        remedy = "run `hf auth login`, or set HF_TOKEN to a valid token"
        return UserError.of("E701", f"the Hub does not accept your token ({message})", remedy)
    if status == 403:
        return UserError.of(
            "E702",
            f"your token has no right to do this with {repo} ({message})",
            "use a token with write access to that user or organisation, or publish to your own account",
        )
    if status == 404:
        return UserError.of(
            "E706", f"{repo} has no such revision or file ({message})", "check the revision after the @"
        )
    return UserError.of(
        "E707", f"the Hub refused {repo} with status {status} ({message})", "fix the cause that it names"
    )


def _is_transient(error: BaseException) -> bool:
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    status = status_of(error)
    if status:
        return status == 429 or status >= 500
    return any(
        (isinstance(e, httpx2.TransportError | ConnectionError) and not isinstance(e, OfflineModeIsEnabled))
        or any(text in str(e) for text in _CLOSED)
        for e in _chain(error)
    )


def _requested_wait_s(error: BaseException) -> float:
    """Seconds the response asks to wait: `Retry-After`, or the rest of the rate limit's window."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import parse_ratelimit_headers

    response = next((e.response for e in _chain(error) if isinstance(e, HfHubHTTPError)), None)
    if response is None:
        return 0.0
    retry_after = response.headers.get("Retry-After", "")
    limit = parse_ratelimit_headers(response.headers)
    if retry_after.isdigit():
        return float(retry_after)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else 0.0


def _message(error: BaseException) -> str:
    """One line of the server's message, or of the connection error."""
    from huggingface_hub.errors import HfHubHTTPError

    chain = list(_chain(error))
    cause = next((e for e in chain if isinstance(e, HfHubHTTPError)), chain[-1])
    text = getattr(cause, "server_message", None) or str(cause)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(cause).__name__).rstrip(".")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
