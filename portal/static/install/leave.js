// Signing out: what this phone keeps of the person is wiped, after asking when something was not sent yet.
import { word } from "../js/words.js";
import { confirmed } from "./dom.js";
import { post } from "./net.js";
import * as outbox from "./outbox.js";
import * as store from "./store.js";

/** Resolves to whether it was done. Throws Refusal without network. */
export async function signOut() {
  const waiting = (await outbox.entries()).filter((row) => row.state !== "synced").length;
  if (waiting && !(await confirmed(word("sign out ask", { n: waiting }), word("sign out")))) return false;
  await post("/logout/");
  await store.wipe();
  location.assign("/login/?next=/install/");
  return true;
}
