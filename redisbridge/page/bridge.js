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

// call gives the bridge's answer; body, if there is one, goes as JSON.
export async function call(method, path, body) {
  const headers = token.get() === null ? {} : { authorization: "Bearer " + token.get() };
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", redirect: "error" });
  if (!response.ok) throw new Refused(response.status, await response.text());
  return response.json();
}
