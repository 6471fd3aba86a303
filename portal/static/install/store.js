// What this browser keeps: the outbox in order, and a few named values. Plain IndexedDB, nothing in between.
const NAME = "meterspan-install";
const VERSION = 1;
let opening;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("outbox", { keyPath: "id", autoIncrement: true });
      request.result.createObjectStore("values");
    };
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const base = request.result;
      // Another tab signs out or brings a newer version: let go, and open again when needed.
      base.onversionchange = base.onclose = () => {
        base.close();
        opening = undefined;
      };
      resolve(base);
    };
  });
  opening.catch(() => (opening = undefined));
  return opening;
}

/** Runs `work(store)` in one transaction and resolves, after its commit, to what its request brought. */
async function within(store, mode, work) {
  const transaction = (await open()).transaction(store, mode, { durability: "strict" });
  return new Promise((resolve, reject) => {
    const request = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

/** All entries of the outbox, oldest first. */
export const entries = () => within("outbox", "readonly", (store) => store.getAll());

/** One entry by its place; undefined when it is gone. */
export const entry = (id) => within("outbox", "readonly", (store) => store.get(id));

/** Appends an entry; resolves to its place in the order. */
export const append = (row) => within("outbox", "readwrite", (store) => store.add(row));

/** Drops an entry. */
export const remove = (id) => within("outbox", "readwrite", (store) => store.delete(id));

/** Reads an entry, applies `changes` when it still exists and `allowed` says so; resolves to whether it did. */
export async function update(id, changes, allowed = () => true) {
  let done = false;
  await within("outbox", "readwrite", (store) => {
    const request = store.get(id);
    request.onsuccess = () => {
      if (!request.result || !allowed(request.result)) return;
      done = true;
      store.put({ ...request.result, ...changes });
    };
    return request;
  });
  return done;
}

/** A named value; undefined when there is none. */
export const value = (name) => within("values", "readonly", (store) => store.get(name));

/** Keeps a named value; undefined forgets it. */
export const keep = (name, content) =>
  within("values", "readwrite", (store) => (content === undefined ? store.delete(name) : store.put(content, name)));

/** Forgets everything, in this tab and for the others. */
export async function wipe() {
  if (opening) (await opening.catch(() => null))?.close();
  opening = undefined;
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(NAME);
    request.onsuccess = resolve;
    request.onerror = () => reject(request.error);
  });
}
