// Judges LoRaWAN frames with lora-packet: one JSON object per line in, one per line out, in the same order.
//
// In:  {"frame": hex, "nwk_s_key"?: hex, "app_s_key"?: hex, "fcnt_high"?: number}   a data frame
//      {"frame": hex, "app_key": hex}                                              a join-request or join-accept
//      {"derive": {"app_key": hex, "net_id": hex, "join_nonce": hex, "dev_nonce": hex}}   hex in reading order
// Out: the fields as read, "mic_ok", "payload" (clear, hex); or {"error": text}.
"use strict";

const lora = require("lora-packet");
const readline = require("node:readline");

const octets = (hex) => (hex === undefined ? undefined : Buffer.from(hex, "hex"));
const hex = (buffer) => (buffer ? buffer.toString("hex") : null);

function dataFrame(packet, asked) {
  const high = Buffer.alloc(2);
  high.writeUInt16LE(asked.fcnt_high || 0);
  const nwkSKey = octets(asked.nwk_s_key);
  const appSKey = octets(asked.app_s_key);
  const payload = packet.FRMPayload && packet.FRMPayload.length ? lora.decrypt(packet, appSKey, nwkSKey, high) : null;
  return {
    type: packet.getMType(),
    direction: packet.getDir(),
    dev_addr: hex(packet.DevAddr),
    fcnt: packet.getFCnt(),
    adr: packet.getFCtrlADR(),
    adr_ack_req: packet.getFCtrlADRACKReq(),
    ack: packet.getFCtrlACK(),
    pending: packet.getFCtrlFPending(),
    fopts: hex(packet.FOpts),
    fport: packet.getFPort(),
    payload: hex(payload),
    mic_ok: lora.verifyMIC(packet, nwkSKey, appSKey, high),
  };
}

function joinRequest(packet, asked) {
  return {
    type: packet.getMType(),
    join_eui: hex(packet.AppEUI),
    dev_eui: hex(packet.DevEUI),
    dev_nonce: packet.DevNonce.readUInt16BE(),
    mic_ok: lora.verifyMIC(packet, undefined, octets(asked.app_key)),
  };
}

function joinAccept(packet, asked) {
  const clear = lora.fromWire(lora.decryptJoinAccept(packet, octets(asked.app_key)));
  return {
    type: clear.getMType(),
    join_nonce: hex(clear.AppNonce),
    net_id: hex(clear.NetID),
    dev_addr: hex(clear.DevAddr),
    rx1_dr_offset: clear.getDLSettingsRxOneDRoffset(),
    rx2_dr: clear.getDLSettingsRxTwoDataRate(),
    rx_delay: clear.getRxDelayDel(),
    cflist: hex(clear.CFList),
    mic_ok: lora.verifyMIC(clear, undefined, octets(asked.app_key)),
  };
}

function derive(asked) {
  const keys = lora.generateSessionKeys10(
    octets(asked.app_key), octets(asked.net_id), octets(asked.join_nonce), octets(asked.dev_nonce)
  );
  return { nwk_s_key: hex(keys.NwkSKey), app_s_key: hex(keys.AppSKey) };
}

function judge(asked) {
  if (asked.derive) return derive(asked.derive);
  const packet = lora.fromWire(octets(asked.frame));
  if (packet.isJoinRequestMessage()) return joinRequest(packet, asked);
  if (packet.isJoinAcceptMessage()) return joinAccept(packet, asked);
  return dataFrame(packet, asked);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  let answer;
  try {
    answer = judge(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error.message || error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
