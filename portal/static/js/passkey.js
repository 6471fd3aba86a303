// Passkeys: hands the server's challenge to the browser, and the browser's answer to the form around the button.
const BASE64 = { "-": "+", _: "/" };

const bytes = (text) => Uint8Array.from(atob(text.replace(/[-_]/g, (sign) => BASE64[sign])), (sign) => sign.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
const listed = (credentials = []) => credentials.map((one) => ({ ...one, id: bytes(one.id) }));

async function create({ publicKey: options }) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: listed(options.excludeCredentials),
    },
  });
  return answer(made, {
    clientDataJSON: text(made.response.clientDataJSON),
    attestationObject: text(made.response.attestationObject),
  });
}

async function get({ publicKey: options }) {
  const used = await navigator.credentials.get({
    publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: listed(options.allowCredentials) },
  });
  const { clientDataJSON, authenticatorData, signature, userHandle } = used.response;
  return answer(used, {
    clientDataJSON: text(clientDataJSON),
    authenticatorData: text(authenticatorData),
    signature: text(signature),
    userHandle: userHandle && text(userHandle),
  });
}

const answer = (credential, response) => ({
  id: credential.id,
  rawId: text(credential.rawId),
  type: credential.type,
  clientExtensionResults: credential.getClientExtensionResults(),
  response,
});

/** The portal's own words, in the reader's language; those of the browser are not. */
class Refused extends Error {}

async function challenge(form) {
  if (form.dataset.options) return JSON.parse(document.getElementById(form.dataset.options).textContent);
  const got = await fetch(form.dataset.question, { method: "POST", body: new FormData(form) });
  if (!got.ok) throw new Refused((await got.json()).message);
  return got.json();
}

function say(form, sentence) {
  const place = form.querySelector("[data-trouble]");
  place.textContent = sentence;
  place.hidden = false;
}

async function run(form, button) {
  if (!form.reportValidity()) return;
  button.disabled = true;
  form.querySelector("[data-trouble]").hidden = true;
  try {
    const options = await challenge(form);
    const given = await (form.dataset.passkey === "create" ? create(options) : get(options));
    form.elements.credential.value = JSON.stringify(given);
    form.submit();
  } catch (trouble) {
    // The browser tells no reason, so that a page cannot find out which passkeys somebody has.
    say(form, (trouble instanceof Refused && trouble.message) || form.dataset.failed);
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button[data-ask]");
  if (window.PublicKeyCredential && isSecureContext) {
    button.disabled = false;
    if (button.autofocus) button.focus(); // the attribute alone does nothing for what was disabled
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      run(form, button);
    });
  } else {
    say(form, form.dataset.unsupported);
  }
}
