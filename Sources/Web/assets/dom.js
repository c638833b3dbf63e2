// Elements from values: every text goes in as text, never as markup.
import { t } from "./strings.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element. Properties beginning with "on" are listeners, `class`, `for`, `aria-…`, `data-…` attributes; a null child is left out. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Replaces what is inside only when `state` differs from last time; keeps the focus where it was, by `data-key`. */
export function show(container, state, build) {
  const text = JSON.stringify(state);
  if (container.shown === text) return false;
  container.shown = text;
  const key = container.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  container.replaceChildren(...[build()].flat());
  if (key) container.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  return true;
}

/** A modal dialogue that is gone when it is closed; the focus goes back by itself. */
export function dialog(title, ...children) {
  const id = `title-${Math.random().toString(36).slice(2)}`;
  const element = h("dialog", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

/** Says something politely, also to a screen reader; `kind` is "" or "bad". */
export function say(text, kind = "") {
  const notice = document.getElementById("notice");
  notice.className = `notice ${kind}`;
  notice.replaceChildren(h("span", {}, text), h("button", {
    type: "button", class: "plain", onclick: () => notice.replaceChildren(),
  }, t("close")));
  clearTimeout(say.timer);
  // What went wrong stays until it is closed or replaced.
  if (kind !== "bad") say.timer = setTimeout(() => notice.replaceChildren(), 12_000);
}

// Numbers, times and sizes as they are written in France.

const two = (value) => String(value).padStart(2, "0");

export function decimal(value, digits = 1) {
  return value === null || value === undefined ? "—" : value.toFixed(digits).replace(".", ",").replace("-", "−");
}

export function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return t("time.seconds", { value: decimal(seconds, whole < 20 && seconds % 1 ? 1 : 0) });
  if (whole < 3600) return t("time.minutes", { minutes: Math.floor(whole / 60), seconds: two(whole % 60) });
  return t("time.hours", { hours: Math.floor(whole / 3600), minutes: two(Math.floor(whole / 60) % 60) });
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  const minutes = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return whole < 3600 ? minutes : `${Math.floor(whole / 3600)}:${minutes}`;
}

export function size(bytes) {
  if (bytes < 1000) return t("size.bytes", { value: bytes });
  if (bytes < 1e6) return t("size.kilo", { value: decimal(bytes / 1e3) });
  return t("size.mega", { value: decimal(bytes / 1e6) });
}

/** An instant in universal time as this laptop's wall clock has it; anything else as it was written. */
const local = (text) => /T.*Z$/.test(text ?? "") ? new Date(text).toLocaleString("sv") : text;

/** `1938-04-12` → `12/04/1938`; anything else as it is. */
export function day(text) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)/.exec(local(text) ?? "");
  return parts ? `${parts[3]}/${parts[2]}/${parts[1]}` : text ?? t("unknown");
}

/** The wall-clock time: as it was written where a zone or none was, of this laptop where it was universal time. */
export function time(text) {
  const parts = /^\d{4}-\d\d-\d\d[T ](\d\d):(\d\d)/.exec(local(text) ?? "");
  return parts ? `${parts[1]}:${parts[2]}` : "";
}

export function moment(text) {
  const clock = time(text);
  return text ? `${day(text)}${clock ? ` ${clock}` : ""}` : t("recording.nostart");
}

/** `2026-11-22`, by this laptop's clock. */
export function today() {
  const now = new Date();
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
}

export function age(birthDate) {
  const born = /^(\d{4})-(\d\d)-(\d\d)$/.exec(birthDate ?? "");
  if (!born) return null;
  const now = today();
  const years = Number(now.slice(0, 4)) - Number(born[1]);
  return now.slice(5) < `${born[2]}-${born[3]}` ? years - 1 : years;
}

export function fullName(patient) {
  return `${patient.family} ${patient.given.join(" ")}`.trim();
}

export function bornOn(patient) {
  if (!patient.birthDate) return "";
  const key = { female: "patient.born.female", male: "patient.born.male" }[patient.sex] ?? "patient.born";
  return t(key, { date: day(patient.birthDate) });
}

export function sexName(sex) {
  return { female: t("sex.female"), male: t("sex.male") }[sex] ?? t("sex.unknown");
}
