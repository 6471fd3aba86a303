// The upload of a supplier's file: one that is too large is not sent at all, and a refusal is shown where it belongs.
const form = document.querySelector("form[data-max-bytes]");
const file = form?.querySelector("input[type=file]");

file?.addEventListener("change", (event) => {
  const large = file.files[0] && file.files[0].size > Number(form.dataset.maxBytes);
  file.setCustomValidity(large ? form.dataset.tooLarge : "");
  if (!large) return;
  event.stopImmediatePropagation();
  file.reportValidity();
}, true);

document.addEventListener("htmx:beforeSwap", (event) => {
  if ([400, 413].includes(event.detail.xhr.status)) event.detail.shouldSwap = true;
});

// A file may have been chosen before this page was ready to look at it, or the browser has kept it over a reload.
document.addEventListener("DOMContentLoaded", () => {
  if (file?.files.length) file.dispatchEvent(new Event("change", { bubbles: true }));
});
