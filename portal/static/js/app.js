// What every page needs: relative times that move, copy on click, forms that cannot be sent twice.
import { ago } from "./format.js";
import { follow } from "./live.js";
import { word } from "./words.js";

const TICK_MS = 5000;

function tick(scope = document) {
  for (const element of scope.querySelectorAll("time[data-ago][datetime]")) {
    const text = ago(Date.parse(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}

async function copy(button) {
  const text = button.dataset.copy || button.textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS a browser hides the clipboard: select the text so that the keyboard can copy it.
    getSelection().selectAllChildren(button);
    return;
  }
  button.classList.remove("done");
  void button.offsetWidth;
  button.classList.add("done");
  announce(word("copied", { what: text }));
  setTimeout(() => button.classList.remove("done"), 1600);
}

function announce(text) {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.sent) return form.dataset.sent && event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => delete form.dataset.sent, 4000);
});

// A filter that changes sends its form by itself; with scripts off the button does.
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && form.dataset.auto !== undefined && event.target.type !== "search") form.requestSubmit();
});

document.addEventListener("htmx:afterSwap", (event) => tick(event.target));
// Coming back with the browser's back button may show a page from its memory: let it catch up.
addEventListener("pageshow", (event) => event.persisted && location.reload());

setInterval(tick, TICK_MS);
tick();
follow();
