"""The far end of radio `virtual`: its TCP protocol, a join and uplinks, all without any delay."""

import asyncio
import base64
import json

from meterwire.lorawan.crypto import Session
from meterwire.lorawan.frame import JoinAccept, MType
from tests.adapter_agent.radio.network import DEV_ADDR, ROOT


class AirServer:
    """`values` are the payloads on port 16 in order, `reports` those on port 33; `done` is set after `enough` values.

    `configuration` goes down with the next acknowledgement.
    """

    def __init__(self, enough: int = 1) -> None:
        self.values: list[bytes] = []
        self.reports: list[bytes] = []
        self.configuration = b""
        self.hellos: list[dict] = []
        self.requests: list[dict] = []
        self.done = asyncio.Event()
        self.misbehave = ""  # what to answer instead, once
        self._enough = enough
        self._session: Session | None = None
        self._nonce = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            self.hellos.append(json.loads(await reader.readline()))
            while line := await reader.readline():
                request = json.loads(line)
                self.requests.append(request)
                if self.misbehave:
                    line, self.misbehave = self.misbehave, ""
                    writer.write(line.encode() + b"\n")
                    if line == "hang up":
                        break
                    continue
                answer = self._hear(base64.b64decode(request["frame"]))
                number = request["id"]
                end = {"t": "end", "id": number, "start": 1.0, "end": 2.0}
                result = {"t": "none", "id": number}
                if answer is not None:
                    frame = base64.b64encode(answer).decode()
                    result = {"t": "rx", "id": number, "window": 1, "rssi": -80.0, "snr": 7.0, "frame": frame}
                for message in (end, result):
                    writer.write(json.dumps(message).encode() + b"\n")
        finally:
            writer.close()

    def _hear(self, frame: bytes) -> bytes | None:
        if frame[0] >> 5 == MType.JOIN_REQUEST:
            request = ROOT.verify_join_request(frame)
            self._nonce += 1
            accept = JoinAccept(self._nonce, 0x13, DEV_ADDR)
            self._session = Session(ROOT.derive(self._nonce, 0x13, request.dev_nonce), DEV_ADDR)
            self._down = 0
            return ROOT.encrypt_join_accept(accept)
        uplink = self._session.open_uplink(frame, int.from_bytes(frame[6:8], "little"))
        if uplink.fport == 16:
            self.values.append(uplink.payload)
            if len(self.values) >= self._enough:
                self.done.set()
        if uplink.fport == 33:
            self.reports.append(uplink.payload)
        if not uplink.confirmed:
            return None
        self._down += 1
        payload, self.configuration = self.configuration, b""
        data = {"fport": 33, "payload": payload} if payload else {}
        return self._session.build(uplink=False, fcnt32=self._down - 1, ack=True, **data)
