// Talking with the daemon. Every request carries the page's token; a cookie alone opens nothing.
import { t, tOr } from "./strings.js";

export class Problem extends Error {
  constructor(key, text) {
    super(text);
    this.key = key;
  }
}

/** Called when the session is over: the page then only says so. */
export const session = { over: () => {} };

async function request(method, path, body, signal) {
  const headers = { "X-ESS-Page": sessionStorage.getItem("page") ?? "" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`/api/${path}`, {
      method, headers, signal, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("network", t("problem.network"));
  }
  if (answer.ok) return answer;
  if (answer.status === 401 || answer.status === 403) session.over();
  const problem = await answer.json().catch(() => ({ key: "network", text: t("problem.network") }));
  // The daemon's own words name commands of a terminal; the page has its own for what a nurse can do here.
  throw new Problem(problem.key, tOr(`problem.${problem.key}`, problem.text));
}

export const get = async (path) => (await request("GET", path)).json();
export const post = async (path, body = {}) => (await request("POST", path, body)).json();
export const part = encodeURIComponent;

/** A problem's text as the page words it. */
export const problemText = (problem) => tOr(`problem.${problem.key}`, problem.text);

/** Follows a running session until it ends; `handlers` by event name. Server-sent events over fetch, because the
 *  browser's own reader can't send the page's token. */
export async function follow(device, handlers, signal) {
  const answer = await request("GET", `live/${part(device)}`, undefined, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      const name = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (name && data) handlers[name]?.(JSON.parse(data));
    }
  }
}

/** Packed samples as physical values; NaN where there is none. */
export function unpack({ encoding, data }, scale = 1) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const step = encoding === "i16" ? 2 : 4;
  const absent = encoding === "i16" ? -32768 : -2147483648;
  const values = new Float32Array(bytes.length / step);
  for (let index = 0; index < values.length; index++) {
    const value = step === 2 ? view.getInt16(index * 2, true) : view.getInt32(index * 4, true);
    values[index] = value === absent ? NaN : value * scale;
  }
  return values;
}
