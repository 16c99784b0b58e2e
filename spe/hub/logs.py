"""What may not be read in the Hub's log: codes, states, tokens and session ids.

The Hub scrubs the query of the address it logs, but not an address inside it (`next=`), nor the session id it
prints when it sets a cross-site token. This filter takes both out before any handler sees them.
"""

import logging
import re

_LOGGERS = ("JupyterHub", "tornado.access", "tornado.application", "tornado.general")
_EQUALS = r"(?:=|%(?:25)*3[Dd])"
_UP_TO_AND = r"""(?:(?!%(?:25)*26)[^&\s"'<>)])+"""
_PARAMETER = re.compile(rf"((?:\w*token|code\w*|state|_xsrf|\w*secret|key){_EQUALS}){_UP_TO_AND}")
_HEADER = re.compile(r'("(?:X-Xsrftoken|Referer|Set-Cookie|Cookie|Authorization)": )"[^"]*"', re.IGNORECASE)
_SESSION_ID = "Setting new xsrf cookie"


def scrubbed(text: str) -> str:
    """`text` without the values of parameters and headers that open something, however often encoded."""
    return _HEADER.sub(r'\1"[secret]"', _PARAMETER.sub(r"\1[secret]", text))


class Scrub(logging.Filter):
    """Rewrites every record; drops the one kind of line which is nothing but a session id."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged at all."""
        text = record.getMessage()
        if text.startswith(_SESSION_ID):
            return False
        record.msg, record.args = scrubbed(text), ()
        return True


def scrub_logs() -> None:
    """Put the filter on every logger of the Hub; again is fine."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Scrub) for known in logger.filters):
            logger.addFilter(Scrub())
