"""HTTP requests that depend on nothing around them."""

import requests


class Session(requests.Session):
    """Takes nothing from the environment, and does not care where a redirect leads.

    requests finds that out even where it is told to follow none: out of a header that may be no
    text, and after it has unpacked all of the body in memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere."""
