// The page: what is known, what is shown on top of every screen, and which screen is shown.
import { get, post, problemText, session } from "./api.js";
import { age, bornOn, clock, duration, fullName, h, say, sexName, show, size } from "./dom.js";
import { live } from "./live.js";
import { isWaiting, opinions, unseen } from "./opinions.js";
import { recordings } from "./recordings.js";
import { sending } from "./sending.js";
import { t, tOr, typeset } from "./strings.js";
import { visits } from "./visits.js";

const SCREENS = { aujourdhui: visits, direct: live, enregistrements: recordings, avis: opinions, envois: sending };

/** What is known; null before the first answer. */
export const state = { status: null, devices: [], visits: [], recordings: [], plan: null, carePlan: null, opinions: [], loans: [], media: [], pathways: [] };

const main = document.getElementById("content");
let screen = null;
let isOver = false;
let sessionsSeen = null;

export const openVisit = () => state.visits.find((visit) => visit.id === state.status?.openVisit) ?? null;
/** As the region calls it; its code when nobody does. */
export const pathwayTitle = (code) => state.pathways.find((pathway) => pathway.code === code || pathway.aliases.includes(code))?.title ?? code;
export const visitOf = (recording) => state.visits.find((visit) => visit.id === recording?.visit) ?? null;
export const deviceTitle = (device) => [device.vendor, device.model].filter(Boolean).join(" ") || t("device.unknown");
export const runningDevices = () => state.devices.filter((device) => device.session?.running);
/** The recording that a device writes now, or wrote last. */
export const recordingOf = (device) => {
  const id = device.session?.recordings.at(-1)?.recording;
  return state.recordings.find((recording) => recording.id === id) ?? null;
};

/** That nothing of what a device sent is lost, as a sentence behind another one. */
export const whatIsSafe = (device) => {
  const recording = recordingOf(device);
  if (!recording) return "";
  return ` ${recording.seconds ? t("session.safe", { time: duration(recording.seconds) }) : t("session.safe.values")}`;
};

/** Does something that may fail, says so if it does, and looks again. */
export async function act(work, done) {
  try {
    const result = await work();
    // Before the look, which may have later news: what was begun may be over already.
    if (done) say(typeof done === "function" ? done(result) : done);
    await refresh();
    return result;
  } catch (problem) {
    say(problem.message, "bad");
    await refresh();
    return null;
  }
}

export const stop = (device) => act(() => post(`devices/${encodeURIComponent(device.name)}/stop`), t("device.stopped"));

let pending = null;

/** Asks for everything; one question at a time. */
export function refresh() {
  pending ??= look().finally(() => { pending = null; });
  return pending;
}

async function look() {
  if (isOver) return;
  try {
    const [status, devices, visits, recordings] =
      await Promise.all([get("status"), get("devices"), get("visits"), get("recordings")]);
    const open = status.openVisit ? `visits/${encodeURIComponent(status.openVisit)}` : null;
    const [plan, carePlan, opinions] = await Promise.all([open ? get(`${open}/plan`) : null, open ? get(`${open}/care-plan`) : null, get("opinions")]);
    const [loans, media] = await Promise.all([get("loans"), sticks()]);
    if (!state.pathways.length) state.pathways = await get("pathways");
    Object.assign(state, { status, devices, visits, recordings, plan, carePlan, opinions, loans, media });
    document.body.classList.remove("silent");
    notice();
    render();
  } catch (problem) {
    if (isOver || problem.key !== "network") return;
    document.body.classList.add("silent");
    document.getElementById("sentence").textContent = t("offline.agent");
  }
}

let hasSticks = true;

/** Sticks and cards; not asked for again when this agent doesn't look after any. */
async function sticks() {
  if (!hasSticks) return [];
  try {
    return await get("media");
  } catch (problem) {
    if (problem.key !== "bad-request") throw problem;
    hasSticks = false;
    return [];
  }
}

/** Says what changed by itself: a device that came or went, a session that ended. */
function notice() {
  const now = new Map(state.devices.map((device) => [device.name, device]));
  if (sessionsSeen) {
    for (const [name, before] of sessionsSeen) {
      const device = now.get(name);
      if (!device) {
        const safe = before.session?.running ? whatIsSafe(before) : "";
        say(t("device.unplugged", { name: deviceTitle(before) }) + safe, before.session?.running ? "bad" : "");
      } else if (device.session && !device.session.running
        // Also one that began and ended between two looks.
        && (before.session?.running || before.session?.id !== device.session.id)) ended(device);
    }
    for (const [name, device] of now) {
      if (device.state === "ready" && !["ready", "capturing", "downloading", "erasing"].includes(sessionsSeen.get(name)?.state)) {
        say(t("device.plugged", { name: deviceTitle(device) }));
      }
    }
  }
  sessionsSeen = now;
  announce();
}

let opinionsSeen = null;

/** Says that the centre has answered; also what was answered while nobody looked at the page. */
function announce() {
  const news = unseen();
  const key = (opinion) => `${opinion.id} ${opinion.arrived}`;
  const fresh = news.filter((opinion) => !opinionsSeen?.has(key(opinion)));
  opinionsSeen = new Set(news.map(key));
  if (!fresh.length) return;
  const [first] = fresh;
  const name = first.patient ? fullName(first.patient) : t("opinions.nobody");
  say(fresh.length > 1 ? t("opinions.announce.n", { count: fresh.length })
    : t(isWaiting(first) ? "opinions.announce.question" : "opinions.announce.opinion", { name }));
}

function ended(device) {
  const { session } = device;
  if (session.problem) {
    say(t("session.ended", { problem: problemText(session.problem) }) + whatIsSafe(device), "bad");
  } else if (session.goal === "download") {
    const count = session.recordings.length;
    const plural = (key, count) => t(`device.downloaded.${key}.${count > 1 ? "n" : count}`, { count });
    say(count || session.skipped
      ? t("device.downloaded", { news: plural("new", count), known: plural("known", session.skipped) }).trim()
      : t("device.nothing"));
  }
}

function render() {
  if (isOver) return;
  banner();
  running();
  const count = unseen().length;
  const badge = document.getElementById("unseen");
  badge.hidden = count === 0;
  show(badge, count, () => [h("span", { "aria-hidden": "true" }, String(count)), h("span", { class: "sr" }, t("opinions.unseen", { count }))]);
  show(document.getElementById("sentence"), state.status.sentence, () => [typeset(state.status.sentence)]);
  show(document.getElementById("sync"), state.status.sync.sentence, () => [typeset(state.status.sync.sentence)]);
  main.querySelector(":scope > .loading")?.remove();
  screen?.update();
}

/** Whose visit it is: on top of every screen, as large as it can be. */
function banner() {
  const visit = openVisit();
  show(document.getElementById("patient"), visit, () => {
    document.title = visit ? `${fullName(visit.patient)} – ${t("title")}` : t("title");
    if (!visit) {
      return [h("p", { class: "nobody" }, t("patient.none")), h("p", { class: "hint" }, t("patient.none.hint"))];
    }
    const { patient } = visit;
    const years = age(patient.birthDate);
    return [
      h("p", { class: "label" }, t("patient.open")),
      h("p", { class: "name" }, h("strong", {}, patient.family), " ", patient.given.join(" ")),
      h("p", { class: "traits" }, [
        bornOn(patient), years === null ? "" : t("patient.age", { age: years }), sexName(patient.sex),
        patient.ins ? t("patient.ins", { ins: spaced(patient.ins) }) : t("patient.noins"), status(patient),
      ].filter(Boolean).join(" · ")),
    ];
  });
  document.getElementById("patient").classList.toggle("open", visit !== null);
}

/** An INS as it is printed: 2 38 04 49 007 901 22. */
export function spaced(ins) {
  const parts = /^(.)(..)(..)(..)(...)(...)(..)?$/.exec(ins);
  return parts ? parts.slice(1).filter(Boolean).join("\u202f") : ins;
}

export function status(patient) {
  if (!patient.identityStatus) return "";
  return tOr(`identity.${patient.identityStatus}`, t("identity.other", { status: patient.identityStatus }));
}

/** What records now, with the way to end it: on every screen. */
function running() {
  const devices = runningDevices();
  const bar = document.getElementById("running");
  bar.hidden = devices.length === 0;
  // The live screen has the same facts and the same button, larger.
  bar.dataset.only = devices.length === 1 ? devices[0].session.goal : "";
  const facts = devices.map((device) => {
    const recording = recordingOf(device);
    return [device.name, deviceTitle(device), device.session.goal, recording ? clock(recording.seconds) : "00:00",
      recording?.originalBytes ?? 0, recording ? fullName(visitOf(recording)?.patient ?? { family: t("recordings.nobody"), given: [] }) : ""];
  });
  show(bar, facts, () => devices.map((device, index) => {
    const [name, title, goal, time, bytes, patient] = facts[index];
    return h("div", { class: "run" },
      h("span", { class: "dot", "aria-hidden": "true" }),
      h("strong", {}, t(goal === "live" ? "running.live" : "running.download")),
      h("span", {}, `${title} · ${patient}`),
      h("span", { class: "count" }, t("running.since", { time }), " · ", t("running.size", { size: size(bytes) })),
      h("span", { class: "buttons" },
        goal === "live" ? h("a", { class: "button", href: `#/direct/${encodeURIComponent(name)}`, "data-key": `live-${name}` }, t("running.show")) : null,
        h("button", { type: "button", class: "stop", "data-key": `stop-${name}`, onclick: () => stop(device) }, t("device.stop"))));
  }));
}

function navigate() {
  const [, name = "aujourdhui", ...rest] = location.hash.split("/");
  const build = SCREENS[name] ?? visits;
  screen?.close?.();
  main.shown = undefined;
  main.replaceChildren();
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.screen = name;
  screen = build(main, rest.map(decodeURIComponent));
  if (state.status) screen.update();
  else main.append(h("p", { class: "loading" }, t("loading")));
}

session.over = () => {
  if (isOver) return;
  isOver = true;
  screen?.close?.();
  // Nothing of a patient stays on the screen of a page that is nobody's any more.
  document.getElementById("patient").replaceChildren();
  document.getElementById("running").hidden = true;
  document.title = t("title");
  main.replaceChildren(h("h1", {}, t("title")), h("p", { class: "big" }, t("session.over")));
};

for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
document.getElementById("nav").setAttribute("aria-label", t("nav.label"));
document.getElementById("patient").setAttribute("aria-label", t("patient.label"));
document.getElementById("leave").addEventListener("click", async () => {
  await post("page/leave").catch(() => {});
  sessionStorage.removeItem("page");
  session.over();
});
window.addEventListener("hashchange", () => {
  navigate();
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});

navigate();
(async () => {
  while (!isOver) {
    await refresh();
    await new Promise((wake) => setTimeout(wake, document.hidden ? 5000 : 1000));
  }
})();
