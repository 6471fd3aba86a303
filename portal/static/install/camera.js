// The camera and its states: asking, denied, none, insecure, busy, loading, looking, found.
import { decode, ready } from "./decoder.js";
import { fromVideo } from "./frames.js";
import * as store from "./store.js";

const PAUSE_MS = 40;
const ERRORS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none" };

/** One use of the camera on one screen. `onState(name)` hears every change, `onCodes(texts)` every find. */
export class Camera {
  constructor(video, { onState, onCodes }) {
    Object.assign(this, { video, onState, onCodes, stream: null, turn: 0, attempt: 0, looking: false, over: false });
  }

  /** Asks for the camera and looks; `device` is a camera's id, else the one remembered, else one facing away. */
  async start(device) {
    if (!isSecureContext) return this.say("insecure");
    if (!navigator.mediaDevices?.getUserMedia) return this.say("none");
    this.halt();
    const mine = this.attempt;
    this.say("asking");
    const wanted = device ?? (await store.value("camera").catch(() => null));
    try {
      const stream = await this.open(wanted);
      if (this.over || mine !== this.attempt) return stop(stream);
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      if (device) await store.keep("camera", device);
    } catch (error) {
      if (this.over || mine !== this.attempt) return undefined;
      return this.say(ERRORS[error.name] ?? "busy");
    }
    if (mine !== this.attempt) return undefined;
    this.track.addEventListener("ended", () => !this.over && this.say("busy"));
    return this.look();
  }

  async open(device) {
    const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
    const facing = { facingMode: { ideal: "environment" } };
    try {
      return await navigator.mediaDevices.getUserMedia({ video: device ? { ...size, deviceId: { exact: device } } : { ...size, ...facing } });
    } catch (error) {
      // The remembered camera is gone, or is another browser profile's.
      if (!device || error.name !== "OverconstrainedError") throw error;
      await store.keep("camera", undefined);
      return navigator.mediaDevices.getUserMedia({ video: { ...size, ...facing } });
    }
  }

  get track() {
    return this.stream?.getVideoTracks()[0];
  }

  /** Looks for codes until one is taken or the screen is left. */
  async look() {
    this.say("loading");
    try {
      await ready();
    } catch {
      return this.stream && this.say("decoder");
    }
    if (!this.stream) return undefined;
    this.say("looking");
    this.looking = true;
    while (this.looking) {
      const picture = this.video.readyState >= 2 && document.visibilityState === "visible" && fromVideo(this.video, this.turn++);
      const started = performance.now();
      const codes = picture ? await decode(picture).catch(() => []) : [];
      if (!this.looking) break;
      if (codes.length) this.onCodes(codes, performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return undefined;
  }

  /** Stands still on the picture in which the code was found. */
  freeze() {
    this.looking = false;
    this.video.pause();
    this.say("found");
    navigator.vibrate?.(60);
  }

  /** Goes on looking after a freeze. */
  async resume() {
    if (!this.stream || this.over) return;
    await this.video.play().catch(() => {});
    this.look();
  }

  /** Whether this camera has a lamp. */
  get hasTorch() {
    return Boolean(this.track?.getCapabilities?.().torch);
  }

  /** Switches the lamp; resolves to whether it obeyed. */
  async torch(on) {
    try {
      await this.track.applyConstraints({ advanced: [{ torch: on }] });
      return true;
    } catch {
      return false;
    }
  }

  /** The cameras to choose from; their names are known once one was allowed. */
  async choices() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput" && device.deviceId);
  }

  get device() {
    return this.track?.getSettings?.().deviceId;
  }

  /** Lets go of the camera; also of one that is still being asked for. */
  halt() {
    this.attempt += 1;
    this.looking = false;
    if (this.stream) stop(this.stream);
    this.stream = null;
  }

  /** The screen is left: the lamp goes out, the camera is free for others. */
  close() {
    this.over = true;
    this.halt();
    this.video.srcObject = null;
  }

  say(state) {
    this.state = state;
    this.onState(state);
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
