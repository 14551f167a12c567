"""One way to speak HTTP: how long to wait, what may safely be asked again, and that nobody sends us elsewhere."""

from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

TIMEOUT = (5.0, 60.0)  # seconds to connect and to wait for an answer; an ERP may work a whole batch before it speaks
POOL = 4  # connections kept open to one host; a courier uses one, a snapshot beside it another


class Redirected(requests.RequestException):
    """The address answered with another one, and we did not go there: our credentials would have gone along."""


def session(total_retries: int = 3) -> requests.Session:
    """A session that asks again only where nothing can have happened, or asking is harmless.

    A refused connection is tried again for every method; a broken read or a 502, 503, 504 only for GET and HEAD.
    429 is left to the caller, who knows the sender's cost. Pass `timeout=TIMEOUT` with each request.
    No redirect is followed, whatever the request says of it: each raises Redirected.
    """
    retry = Retry(
        total=total_retries,
        connect=total_retries,
        read=total_retries,
        status=total_retries,
        other=0,
        backoff_factor=0.2,
        backoff_max=5.0,
        backoff_jitter=0.1,
        allowed_methods=frozenset({"GET", "HEAD"}),
        status_forcelist=(502, 503, 504),
        respect_retry_after_header=False,  # the caller schedules the wait; a sleeping worker holds a lease
        raise_on_status=False,
    )
    speaker = requests.Session()
    speaker.trust_env = False  # no proxy and no .netrc may slip in between two systems
    adapter = HTTPAdapter(max_retries=retry, pool_maxsize=POOL)
    speaker.mount("http://", adapter)
    speaker.mount("https://", adapter)
    speaker.hooks["response"] = [_refuse_redirect]
    return speaker


def _refuse_redirect(answer: requests.Response, **_: Any) -> None:
    """Before `requests` looks at it. Of the other address only the origin is told: the rest may hold a secret."""
    if answer.is_redirect:
        answer.close()
        try:
            elsewhere = _origin(urljoin(answer.url, answer.headers["Location"]))
        except ValueError:
            elsewhere = "an address that cannot be read"
        raise Redirected(
            f"{_origin(answer.url)} sends us on to {elsewhere} ({answer.status_code}), which is refused, for our "
            "credentials would go along; correct the address in the settings"
        )


def _origin(url: str) -> str:
    told = urlsplit(url)
    return f"{told.scheme}://{told.netloc.rpartition('@')[2]}"
