// Measures lora-packet on the frames given on stdin: parse, MIC, decrypt. Prints frames per CPU second.
//
// In: {"frames": [[phy, nwk_s_key, app_s_key, fcnt_high], ...]}, octets in hex.
"use strict";

const path = require("node:path");
const lora = require(path.join(__dirname, "..", "tests", "judges", "node_modules", "lora-packet"));

const ROUNDS = 5;
const { frames } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const work = frames.map(([phy, nwkSKey, appSKey, high]) => {
  const msb = Buffer.alloc(2);
  msb.writeUInt16LE(high);
  return [Buffer.from(phy, "hex"), Buffer.from(nwkSKey, "hex"), Buffer.from(appSKey, "hex"), msb];
});

function round() {
  const start = process.cpuUsage();
  for (const [phy, nwkSKey, appSKey, msb] of work) {
    const packet = lora.fromWire(phy);
    if (!lora.verifyMIC(packet, nwkSKey, appSKey, msb)) throw new Error("a MIC does not fit");
    lora.decrypt(packet, appSKey, nwkSKey, msb);
  }
  const spent = process.cpuUsage(start);
  return (spent.user + spent.system) / 1e6;
}

round();
const spent = Array.from({ length: ROUNDS }, round).sort((a, b) => a - b);
process.stdout.write(JSON.stringify(work.length / spent[ROUNDS >> 1]) + "\n");
