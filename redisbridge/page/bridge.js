// Calls the bridge, with the token that this tab's storage holds.

const storageKey = "chatcache-token";

export const token = {
  get: () => sessionStorage.getItem(storageKey),
  set: (text) => sessionStorage.setItem(storageKey, text),
  forget: () => sessionStorage.removeItem(storageKey),
};

// Refused says that the bridge answered with another status than 200.
export class Refused extends Error {
  constructor(status, text) {
    super(`the bridge says ${status}: ${text.trim().slice(0, 300)}`);
    this.status = status;
  }
}

// Silent says that the bridge hasn't answered in time. A connection to one that hangs would be waited for as long as the browser likes.
export class Silent extends Error {
  constructor(method) {
    super(`the bridge hasn't answered within ${answerMs / 1000} s` + (method === "GET" ? "" : "; it may do what it was asked for all the same"));
  }
}

const answerMs = 10_000; // several times what the bridge itself gives Redis and a change's receipts

// call gives the bridge's answer; body, if there is one, goes as JSON.
export async function call(method, path, body) {
  const headers = token.get() === null ? {} : { authorization: "Bearer " + token.get() };
  const signal = AbortSignal.timeout(answerMs);
  try {
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", redirect: "error", signal });
    if (!response.ok) throw new Refused(response.status, await response.text());
    return await response.json();
  } catch (error) {
    throw error.name === "TimeoutError" ? new Silent(method) : error;
  }
}
