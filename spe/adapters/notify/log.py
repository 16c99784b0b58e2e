"""Messages to people, written to the log: for one host without mail."""

import logging

from spe.domain.ids import PersonId

log = logging.getLogger("spe.notify")


class LogNotifier:
    """Implements `spe.ports.notify.Notifier`; nothing it does can fail a decision."""

    def tell(self, person: PersonId, subject: str, message: str) -> None:
        """Write one line."""
        log.info("to %s: %s - %s", person, subject, message)
