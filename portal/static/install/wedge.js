// A barcode or RFID reader that types: many keys in a short time, then Enter, whatever has the focus.
const FAST_MS = 60; // readers need 5 to 30 ms per key, people more than 80
const LEAST = 6;

/** Calls `onScan(text)` for each quick burst outside of an input; returns how to stop. */
export function listen(onScan) {
  let text = "";
  let last = 0;
  const hear = (event) => {
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest?.("input, textarea, select, dialog")) return;
    const quick = event.timeStamp - last < FAST_MS;
    if (event.key === "Enter") {
      if (quick && text.length >= LEAST) {
        event.preventDefault();
        onScan(text);
      }
      text = "";
      return;
    }
    if (event.key.length !== 1) return;
    text = quick ? text + event.key : event.key;
    last = event.timeStamp;
    // A blank inside a code would press the focused button.
    if (text.length > 1) event.preventDefault();
  };
  addEventListener("keydown", hear, { capture: true });
  return () => removeEventListener("keydown", hear, { capture: true });
}
