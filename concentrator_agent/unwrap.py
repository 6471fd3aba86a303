"""Unwraps the keys of device entries and seals them for the store: what `rootkeys` runs in a process of its own.

Reads one Request from standard input, writes one Answer to standard output. Only wrapped and sealed keys pass through.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from hmac import compare_digest
from pathlib import Path

import msgspec

from concentrator_agent import store
from concentrator_agent.enrolment.request import private_key as certificate_key
from concentrator_agent.enrolment.wallet import WalletFile
from concentrator_agent.rootkeys import Answer, Outcome, Request, Task, decode_request, encode_answer
from concentrator_agent.server import mac, sessions
from concentrator_agent.server.join import open_root_key, seal_root_key, seal_transport_key
from edge.sealedfile import Credential, SealedFile, load_credential
from meterwire import transport_key
from meterwire.curves import PrivateKey
from meterwire.errors import FormatError, MeterspanError, ValueOutOfRange
from meterwire.ids import DevEUI, GatewayEUI
from meterwire.lorawan.crypto import SessionKeys
from meterwire.lorawan.plan import Region
from meterwire.lorawan.region import by_name
from meterwire.messages import DeviceEntry, WrappedKey
from meterwire.slots import Slot
from meterwire.time_entries import SlotEntry


class EntryRefused(Exception):
    """An entry that cannot be used; `reason` as in the event `device_refused`."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Unwrapper:
    """Holds the concentrator's private keys: X25519, and those of its certificates, the likeliest first."""

    def __init__(
        self,
        credential: Credential,
        concentrator: GatewayEUI,
        private_key: bytes,
        plan: Region,
        certificate_keys: Sequence[PrivateKey] = (),
    ) -> None:
        self._credential = credential
        self._concentrator = concentrator
        self._private_key = private_key
        self._certificate_keys = tuple(certificate_keys)
        self._plan = plan

    @property
    def public_key(self) -> bytes:
        return transport_key.public_key(self._private_key)

    def stage(self, tasks: Iterable[Task]) -> list[Outcome]:
        """Each entry as a row of the stage, its keys sealed; or why it is refused, in which case it stays as it is."""
        outcomes = []
        for task in tasks:
            try:
                outcomes.append(Outcome(self._row(task)))
            except EntryRefused as error:
                outcomes.append(Outcome(store.StagedRow(task.entry.dev_eui, "keep"), error.reason, str(error)))
        return outcomes

    def _row(self, task: Task) -> store.StagedRow:
        entry, known = task.entry, task.known
        if (entry.root_key is None) == (entry.abp is None):
            raise EntryRefused("format", "a device has either a root key or the keys of one fixed session")
        common = store.StagedRow(
            entry.dev_eui,
            "put",
            entry.join_eui,
            entry.lorawan,
            int(entry.foreign),
            transport_key=self._transport_key(entry),
            slot=None if entry.slot is None else msgspec.json.encode(_checked(entry.slot)),
        )
        if entry.root_key is not None:
            key = self._unwrap(entry.root_key, entry.dev_eui, "root")
            same = (
                known is not None
                and known.root_key is not None
                and known.join_eui == entry.join_eui
                and compare_digest(open_root_key(self._credential, entry.dev_eui, known.root_key), key)
            )
            return common._replace(root_key=seal_root_key(self._credential, entry.dev_eui, key), same=int(same))
        assert entry.abp is not None
        dev_addr = int(entry.abp.dev_addr, 16)
        nwk_s_key = self._unwrap(entry.abp.nwk_s_key, entry.dev_eui, "nwk")
        keys = SessionKeys(nwk_s_key, self._unwrap(entry.abp.app_s_key, entry.dev_eui, "app"))
        same = known is not None and known.root_key is None and self._same_session(task, dev_addr, keys)
        return common._replace(
            dev_addr=dev_addr,
            keys=sessions.seal_keys(self._credential, keys, entry.dev_eui, dev_addr, 0),
            mac=mac.MacState(mac.factory_parameters(self._plan)).encode(),
            same=int(same),
        )

    def _same_session(self, task: Task, dev_addr: int, keys: SessionKeys) -> bool:
        return any(
            row.dev_addr == dev_addr and sessions.open_keys(self._credential, row) == keys for row in task.sessions
        )

    def _transport_key(self, entry: DeviceEntry) -> bytes | None:
        """What protects port 34 between this concentrator and the device, sealed for the store."""
        if entry.transport_key is None:
            return None
        return seal_transport_key(
            self._credential, entry.dev_eui, self._unwrap(entry.transport_key, entry.dev_eui, "transport")
        )

    def _unwrap(self, wrapped: WrappedKey, dev_eui: str, purpose: str) -> bytes:
        refusal = EntryRefused("key", f"there is no key here that could open the {purpose} key")
        for own in self._openers(wrapped):
            try:
                return transport_key.unwrap(
                    own, wrapped, concentrator=self._concentrator, dev_eui=DevEUI.parse(dev_eui), purpose=purpose
                )
            except FormatError as error:
                raise EntryRefused("format", str(error)) from None
            except MeterspanError as error:
                refusal = EntryRefused("key", str(error))
        raise refusal

    def _openers(self, wrapped: WrappedKey) -> Sequence[bytes | PrivateKey]:
        return (self._private_key,) if len(wrapped.epk) == transport_key.X25519_BYTES else self._certificate_keys


def _checked(entry: SlotEntry) -> SlotEntry:
    """A slot that exists. Raises EntryRefused."""
    try:
        Slot(**msgspec.structs.asdict(entry))
    except ValueOutOfRange as error:
        raise EntryRefused("format", str(error)) from None
    return entry


def unwrapper(request: Request) -> Unwrapper:
    """Opens the sealed private keys; the X25519 one is made when there is none. Raises SealedFileError."""
    credential, state_dir = load_credential(Path(request.credential_file)), Path(request.state_dir)
    private_key = load_private_key(state_dir, credential)
    certificate_keys = [certificate_key(held) for held in WalletFile(state_dir, credential).read().all]
    concentrator = GatewayEUI.parse(request.concentrator)
    return Unwrapper(credential, concentrator, private_key, by_name(request.region), certificate_keys)


def load_private_key(state_dir: Path, credential: Credential) -> bytes:
    """The concentrator's X25519 private key."""
    file = SealedFile(state_dir / "transport.key", credential, "transport key")
    key = file.read()
    if key is None:
        key = os.urandom(32)
        file.write(key)
    return key


def main() -> int:
    try:
        request = decode_request(sys.stdin.buffer.read())
        own = unwrapper(request)
        answer = Answer(own.public_key, own.stage(request.tasks))
    except MeterspanError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(encode_answer(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
