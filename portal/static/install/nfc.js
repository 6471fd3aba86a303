// Reads the adapter's label from an NFC tag, where the browser can (Web NFC: Chrome on Android).

/** Whether a tag can be tapped here. */
export const canTap = () => "NDEFReader" in window;

/** Waits for tags and hands on their texts until `signal` aborts. Throws when the person or the phone says no. */
export async function tap(onText, onUnreadable, signal) {
  const reader = new window.NDEFReader();
  reader.addEventListener("readingerror", onUnreadable, { signal });
  reader.addEventListener("reading", (event) => {
    const texts = [...event.message.records].map(textOf).filter(Boolean);
    if (texts.length) onText(texts);
    else onUnreadable();
  }, { signal });
  await reader.scan({ signal });
}

function textOf(record) {
  if (record.recordType === "text" || record.recordType === "url") {
    return new TextDecoder(record.encoding || "utf-8").decode(record.data);
  }
  return "";
}
