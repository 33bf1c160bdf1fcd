"""The Hub's client, and the one rule for its failures: wait for what passes, explain what does not.

Only 429, 5xx and broken lines are tried again, a bounded number of times and no sooner than the Hub asks. A refusal
(401, 403, 404, ...) is the user's to mend; asking again would not help and is never done.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from astro_factory.core.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

_XET_STATUS = re.compile(r"HTTP status \w+ error \((\d{3})")
_FIRST_WAIT_S = 1.0
_LONGEST_BACKOFF_S = 60.0
_LONGEST_ASKED_WAIT_S = 300.0
"""The Hub counts requests in windows of five minutes; a longer wait is for the user to decide on."""


def hub_client() -> "HfApi":
    """A client for the endpoint and the token of the environment; it prints nothing."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="astro-factory")


@dataclass
class Patience:
    """How many more failures of one undertaking to sit out."""

    repo: str
    attempts: int = 6
    failures: int = 0

    def wait(self, error: Exception) -> None:
        """Sleep after a failure that may pass.

        Raises:
            UserError: the failure will not pass by itself, or has lasted too long.
            Exception: the error itself, where it is no failure of the Hub.
        """
        if not _may_pass(error):
            told = explained(error, self.repo)
            raise told from (error if told is not error else error.__cause__)
        self.failures += 1
        delay = max(_asked_wait_s(error), min(_FIRST_WAIT_S * 2 ** (self.failures - 1), _LONGEST_BACKOFF_S))
        if self.failures >= self.attempts or delay > _LONGEST_ASKED_WAIT_S:
            cause = f"the Hub could not be used for {self.repo}: {_words(error)}"
            remedy = "try again later; what was built, sent or loaded is kept"
            if delay > _LONGEST_ASKED_WAIT_S:
                remedy = f"the Hub asks to wait {delay:.0f} s; " + remedy
            raise UserError.of("E704", cause, remedy) from error
        time.sleep(delay)


def patiently(repo: str, call: Callable[[], T]) -> T:
    """The result of a call that may be repeated at will, such as any that only reads."""
    patience = Patience(repo)
    while True:
        try:
            return call()
        except Exception as error:
            patience.wait(error)


def status_of(error: BaseException) -> int:
    """The HTTP status behind an error, however the client wrapped it; 0 where there was no answer.

    Xet, which moves the large files, gives refusals as broken lines, with the status in the text.
    """
    from huggingface_hub.errors import HfHubHTTPError

    for found in _chain(error):
        if isinstance(found, HfHubHTTPError):
            return found.response.status_code
        if isinstance(found, ConnectionError) and (told := _XET_STATUS.search(str(found))):
            return int(told[1])
    return 0


def explained(error: Exception, repo: str) -> Exception:
    """The error in the user's words, or the error itself where it is none of the Hub's."""
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    chain = list(_chain(error))
    if any(isinstance(e, OfflineModeIsEnabled) for e in chain):
        return UserError.of(
            "E705",
            f"{repo} is on the Hub, and HF_HUB_OFFLINE forbids to go there",
            "unset HF_HUB_OFFLINE, use a `file:` destination, or build with --no-publish",
        )
    status, said = status_of(error), _words(error)
    if not status:
        return error
    if any(isinstance(e, RepositoryNotFoundError) for e in chain) and status != 403:
        return UserError.of(
            "E703",
            f"there is no repository {repo} on the Hub, or your token may not see it",
            "check the name, and sign in with `hf auth login` or HF_TOKEN if it is private",
        )
    if status == 401:
        remedy = "run `hf auth login`, or set HF_TOKEN to a valid token"
        return UserError.of("E701", f"the Hub does not accept your token ({said})", remedy)
    if status == 403:
        return UserError.of(
            "E702",
            f"your token has no right to do this with {repo} ({said})",
            "use a token with write access to that user or organisation, or publish to a place of your own",
        )
    if status == 404:
        return UserError.of("E706", f"{repo} has no such revision or file ({said})", "check what stands after the @")
    return UserError.of("E707", f"the Hub refused {repo} with status {status} ({said})", "mend what it names")


def _may_pass(error: BaseException) -> bool:
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    status = status_of(error)
    if status:
        return status == 429 or status >= 500
    return any(
        isinstance(e, httpx2.TransportError | ConnectionError) and not isinstance(e, OfflineModeIsEnabled)
        for e in _chain(error)
    )


def _asked_wait_s(error: BaseException) -> float:
    """Seconds the answer asks to wait: `Retry-After`, or the rest of the rate limit's window."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import parse_ratelimit_headers

    answer: Any = next((e.response for e in _chain(error) if isinstance(e, HfHubHTTPError)), None)
    if answer is None:
        return 0.0
    asked = answer.headers.get("Retry-After", "")
    limit = parse_ratelimit_headers(answer.headers)
    if asked.isdigit():
        return float(asked)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else 0.0


def _words(error: BaseException) -> str:
    """One line of what the server said, or of what broke the line."""
    from huggingface_hub.errors import HfHubHTTPError

    chain = list(_chain(error))
    told = next((e for e in chain if isinstance(e, HfHubHTTPError)), chain[-1])
    said = getattr(told, "server_message", None) or str(told)
    return next((line.strip() for line in said.splitlines() if line.strip()), type(told).__name__).rstrip(".")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
