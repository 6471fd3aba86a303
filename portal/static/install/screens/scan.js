// One label: by camera, typed, from a photo, by NFC tag or by a reader that types. All ways end in `take`.
import { word } from "../../js/words.js";
import { Camera } from "../camera.js";
import { announce, button, h } from "../dom.js";
import { flow, next, note } from "../flow.js";
import { best, judge } from "../judge.js";
import { canTap, tap } from "../nfc.js";
import { codesIn } from "../photo.js";
import * as wedge from "../wedge.js";
import { finder } from "./finder.js";
import { typed } from "./typed.js";

const WORKING = ["asking", "loading", "looking", "found"];
const SHOWN_MS = 400; // the frozen picture says which code was read

export const scan = (expected) => ({ go }) => {
  const aside = new AbortController();
  let taken = false;
  let refused = ""; // the camera shows a wrong code many times a second
  const hint = h("div", { class: "hint", role: "alert" });
  const view = finder(expected, { onTorch: (on) => camera.torch(on), onCamera: (id) => camera.start(id), onAgain: () => camera.start() });
  const entry = typed(expected, (text) => take(text, "typed"));
  const file = h("input", { type: "file", accept: "image/*", capture: "environment", hidden: true, onchange: picked });
  const root = h("div", { class: "scan", "data-way": "camera" }, view.element, hint, entry.element, file);
  const camera = new Camera(view.video, {
    onState: (state) => {
      root.dataset.camera = state;
      view.show(state, camera);
      if (state === "found") announce(word("camera.found"));
      bar();
    },
    onCodes: (codes) => take(best(codes, expected), "camera"),
  });
  const stopWedge = wedge.listen((text) => take(text, "wedge"));

  async function take(raw, way) {
    if (taken || (way === "camera" && raw === refused)) return;
    taken = true;
    if (way === "camera") camera.freeze();
    const answer = await judge(raw, expected);
    if (aside.signal.aborted) return;
    if (!answer.ok) {
      taken = false;
      refused = raw;
      say("warn", answer.message);
      if (way === "camera") camera.resume();
      return;
    }
    say("ok", answer.display);
    root.dataset.taken = way;
    await note({ [expected]: { raw: answer.raw, display: answer.display } });
    await new Promise((resolve) => setTimeout(resolve, way === "camera" ? SHOWN_MS : 0));
    if (!aside.signal.aborted) go(next(), true);
  }

  function say(form, text) {
    hint.replaceChildren(text && h("div", { class: `msg ${form}` }, text));
  }

  async function picked() {
    const [photo] = file.files;
    file.value = "";
    if (!photo) return;
    say("idle", word("photo.reading"));
    try {
      const codes = await codesIn(photo);
      if (codes.length) await take(best(codes, expected), "photo");
      else say("warn", word("photo.nothing"));
    } catch (error) {
      say("warn", word(error.message === "no picture" ? "photo.broken" : "camera.decoder"));
    }
  }

  async function nfc() {
    say("idle", word("nfc.hold"));
    try {
      await tap((texts) => take(best(texts, expected), "nfc"), () => say("warn", word("nfc.unreadable")), aside.signal);
    } catch (error) {
      say("warn", word(error.name === "NotAllowedError" ? "nfc.denied" : "nfc.off"));
    }
  }

  function way(name) {
    root.dataset.way = name;
    say("", "");
    if (name === "typed") {
      camera.halt();
      entry.focus();
    } else camera.start();
    bar();
  }

  const actions = h("div", { class: "bar-btns" });
  function bar() {
    const typing = root.dataset.way === "typed" || !WORKING.includes(root.dataset.camera);
    entry.element.hidden = !typing;
    view.element.hidden = root.dataset.way === "typed";
    actions.replaceChildren(
      typing ? entry.use : button(word("type"), () => way("typed"), { kind: "wide", symbol: "keyboard" }),
      h("div", { class: "equals" },
        root.dataset.way === "typed" && button(word("camera"), () => way("camera"), { symbol: "camera" }),
        button(word("photo"), () => file.click(), { symbol: "picture" }),
        canTap() && button("NFC", nfc, { symbol: "nfc" })));
  }

  bar();
  camera.start();
  return {
    title: word(`${expected} title`), step: expected === "adapter" ? 1 : 2, body: root, actions: [actions], back: expected === "meter" ? "#/adapter" : "#/",
    help: word(`${expected} text`), context: expected === "meter" ? flow.draft.adapter?.display : flow.draft.site?.name,
    leave: () => {
      aside.abort();
      stopWedge();
      camera.close();
    },
  };
};
