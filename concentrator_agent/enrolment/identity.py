"""The certificate that the concentrator shows to the broker: the new one first, the old one until the new one works."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from concentrator_agent.enrolment.wallet import Held, Wallet, WalletFile
from edge import tls
from edge.mqtt import LinkRefused
from edge.sealedfile import SealedFileError


class Identity:
    """Gives a TLS context for each connection (edge.mqtt.TlsSource).

    `dates_known`: whether dates can be judged; `now`: the Unix time, where it is another than the machine's.
    """

    def __init__(
        self,
        file: WalletFile,
        ca_file: Path | None,
        dates_known: Callable[[], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._ca_file = ca_file
        self._dates_known = dates_known
        self._now = now
        self._there = asyncio.Event()
        self._shown: Held | None = None
        self._in_vain = 0  # connections since one worked

    async def wait(self) -> None:
        """Until there is a certificate."""
        await self._there.wait()

    def look(self) -> Wallet:
        """The wallet as it is now. Raises SealedFileError."""
        wallet = self._file.read()
        if wallet.current is not None:
            self._there.set()
        return wallet

    def context(self) -> ssl.SSLContext:
        """With the certificate to try now; while the broker takes neither, old and new alternate."""
        try:
            wallet = self.look()
            choices = [one for one in (wallet.next, wallet.current) if one is not None and one.issued]
            if not choices:
                raise LinkRefused("there is no certificate to show to the broker: enrol first")
            self._shown = choices[self._in_vain % len(choices)]
            self._in_vain += 1
            authorities = () if self._ca_file is not None else wallet.authorities
            context = tls.client_context(self._ca_file, authorities, check_dates=self._dates_known(), now=self._now())
            tls.show_identity(context, self._shown.chain, self._shown.key)
        except (OSError, ssl.SSLError, SealedFileError) as error:
            raise LinkRefused(f"TLS towards the broker cannot be set up with the certificate: {error}") from None
        return context

    def worked(self) -> bool:
        """The broker took what was shown last; True when it is a new certificate, which replaces the old one now."""
        self._in_vain = 0
        shown = self._shown
        if shown is None or (waiting := self._file.read().next) is None or waiting.key != shown.key:
            return False
        self._file.change(lambda wallet: wallet.promoted() if wallet.next == shown else wallet)
        return True

    def forget_previous(self) -> None:
        """What was wrapped for the certificate before this one has been sent anew."""
        self._file.change(lambda wallet: msgspec.structs.replace(wallet, previous=None))
