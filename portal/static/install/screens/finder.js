// The camera's picture with its frame, and a card that names each state in which there is no picture.
import { word } from "../../js/words.js";
import { button, h, icon } from "../dom.js";

const PICTURE = new Set(["asking", "loading", "looking", "found"]);

/** `{element, video, show(state, camera)}`. */
export function finder(expected, { onTorch, onCamera, onAgain }) {
  const video = h("video", { playsinline: true, muted: true, "aria-label": word("camera.picture") });
  video.muted = true;
  const pill = h("p", { class: "pill", role: "status" });
  const tools = h("div", { class: "cam-tools" });
  const picture = h("div", { class: "cam" }, video, h("div", { class: "frame", "aria-hidden": "true" }), pill, tools);
  const card = h("div", { class: "card stack-s", role: "status" });
  const element = h("div", { class: `finder ${expected}` }, picture, card);
  return {
    element,
    video,
    show(state, camera) {
      element.dataset.state = state;
      picture.hidden = !PICTURE.has(state);
      card.hidden = PICTURE.has(state);
      if (PICTURE.has(state)) pill.textContent = word(state === "looking" ? `camera.looking.${expected}` : `camera.${state}`);
      else card.replaceChildren(h("h2", {}, word(`camera.${state}`)), h("p", {}, word(`camera.${state}.why`)), h("p", {}, word("camera.equals")),
        state !== "insecure" && h("div", {}, button(word("camera.again"), onAgain)));
      if (state === "looking" && !tools.children.length) addTools(tools, camera, onTorch, onCamera);
      if (state === "asking") tools.replaceChildren();
    },
  };
}

async function addTools(tools, camera, onTorch, onCamera) {
  const parts = [];
  if (camera.hasTorch) {
    const lamp = h("button", { type: "button", class: "round", "aria-pressed": "false", "aria-label": word("torch"), title: word("torch") }, icon("torch"));
    lamp.addEventListener("click", async () => {
      const on = lamp.getAttribute("aria-pressed") !== "true";
      if (await onTorch(on)) lamp.setAttribute("aria-pressed", String(on));
    });
    parts.push(lamp);
  }
  const cameras = await camera.choices().catch(() => []);
  if (cameras.length > 1) {
    parts.push(h("select", { "aria-label": word("which camera"), onchange: (event) => onCamera(event.target.value) },
      cameras.map((device, i) => h("option", { value: device.deviceId, selected: device.deviceId === camera.device }, device.label || `${word("camera")} ${i + 1}`))));
  }
  tools.replaceChildren(...parts);
}
