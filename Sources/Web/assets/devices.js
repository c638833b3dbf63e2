// Ce qui est branché: each device with its picture and state, what it can do, and whose it was when it was lent.
import { act, deviceTitle, openVisit, recordingOf, state, stop, whatIsSafe } from "./app.js";
import { part, post, problemText } from "./api.js";
import { dialog, fullName, h, moment, svg } from "./dom.js";
import { mediaCards } from "./media.js";
import { t, tOr } from "./strings.js";

/** The loan that a device came back from, or is in. */
const loanOf = (device) => state.loans.find((loan) => !loan.returnedAt && loan.serial && loan.serial === device.serial && loan.driver === device.driver) ?? null;

export const deviceFacts = () => [state.devices, state.devices.map((device) => recordingOf(device)?.seconds), openVisit()?.id, state.loans, state.media];

export function deviceCards() {
  const cards = [...mediaCards(), ...state.devices.map(deviceCard)];
  return cards.length ? cards
    : [h("p", { class: "hint" }, t("devices.none")), h("p", { class: "hint" }, t("devices.none.hint"))];
}

/** A finger clip, or a box with leads: told apart at a glance. */
function picture(driver) {
  const line = { fill: "none", stroke: "currentColor", "stroke-width": 3, "stroke-linecap": "round", "stroke-linejoin": "round" };
  const shapes = driver.includes("pressure")
    ? [svg("rect", { x: 24, y: 10, width: 32, height: 34, rx: 5, ...line }), svg("path", { d: "M30 20h20M30 28h12M24 36c-10 0-14 4-14 10s6 8 14 8h18v-10", ...line })]
    : driver.includes("phdc")
    ? [svg("rect", { x: 10, y: 12, width: 44, height: 40, rx: 8, ...line }), svg("path", { d: "M20 20a18 18 0 0 1 24 0l-8 8h-8zM32 22l4 6", ...line })]
    : driver.includes("oximeter")
    ? [svg("rect", { x: 6, y: 16, width: 36, height: 24, rx: 9, ...line }), svg("path", { d: "M42 28h14M14 29h5l3-7 4 13 3-6h6", ...line })]
    : /ecg|8000/.test(driver)
      ? [svg("rect", { x: 8, y: 14, width: 48, height: 34, rx: 4, ...line }), svg("path", { d: "M14 32h8l4-9 6 18 5-12 3 3h10", ...line })]
      : [svg("rect", { x: 12, y: 12, width: 40, height: 40, rx: 6, ...line }), svg("path", { d: "M26 26a6 6 0 1 1 8 6c-2 1-2 2-2 4m0 6v.2", ...line })];
  return svg("svg", { viewBox: "0 0 64 64", class: "picture", "aria-hidden": "true" }, ...shapes);
}

function deviceCard(device) {
  const isRunning = device.session?.running === true;
  const isKnown = !["not-recognised", "probing", "busy", "denied"].includes(device.state);
  const can = (ability) => device.abilities.includes(ability);
  const last = device.session && !isRunning && device.session.problem ? device.session : null;
  const loan = loanOf(device);
  const lentTo = loan && state.visits.find((visit) => visit.id === loan.visit);
  return h("article", { class: `card device ${device.state}` },
    h("div", { class: "device-head" }, picture(device.driver),
      h("div", {},
        h("h3", {}, isKnown || device.model ? deviceTitle(device) : t("device.unknown")),
        h("p", { class: "hint" }, [device.serial ? t("device.serial", { serial: device.serial }) : isKnown ? t("device.noserial") : null,
          isKnown ? tOr(`device.support.${device.support}`, device.support) : null].filter(Boolean).join(" · "),
          device.simulated ? h("span", { class: "badge simulated" }, t("simulated")) : null),
        h("p", { class: "state" }, isAsking(device) ? t("device.state.ask") : tOr(`device.state.${device.state}`, device.state)))),
    isAsking(device) ? ask(device) : null,
    loan ? h("div", { class: "loan" },
      h("p", {}, t("loan.lent", { name: lentTo ? fullName(lentTo.patient) : t("loan.unknown"), date: moment(loan.from) })),
      h("p", { class: "hint" }, t("loan.explain")),
      h("p", { class: "buttons" }, h("button", { type: "button", "data-key": `back-${loan.id}`,
        onclick: () => act(() => post(`loans/${part(loan.id)}/return`, { start: "" }), t("loan.returned")) }, t("loan.return")))) : null,
    isRunning && device.session.goal === "download" ? progress(device) : null,
    last ? h("p", { class: "refusal" }, t("session.ended", { problem: problemText(last.problem) }),
      whatIsSafe(device)) : null,
    h("p", { class: "buttons" },
      isRunning ? h("button", { type: "button", class: "stop huge", "data-key": `stop-${device.name}`, onclick: () => stop(device) }, t("device.stop"))
        : isKnown ? [
          can("live") ? h("button", { type: "button", class: "record huge", "data-key": `start-${device.name}`, onclick: () => begin(device, "start") },
            t("device.record"), openVisit() ? null : h("small", {}, t("device.nopatient"))) : null,
          can("download") ? h("button", { type: "button", "data-key": `download-${device.name}`, onclick: () => begin(device, "download", loan) }, t("device.download")) : null,
          can("download") && device.serial && openVisit() && !loan ? h("button", { type: "button", class: "plain", "data-key": `lend-${device.name}`, onclick: () => lend(device) }, t("loan.give")) : null,
          can("erase") && device.serial ? h("button", { type: "button", class: "plain", "data-key": `erase-${device.name}`, onclick: () => erase(device) }, t("device.erase")) : null,
        ] : null,
      // Also where the answer was wrong, and nothing was recognised.
      device.chosen && !isRunning ? h("button", { type: "button", class: "plain", "data-key": `other-${device.name}`, onclick: () => identify(device, null) }, t("device.other")) : null));
}

/** Nobody may probe it before a person has said what is there. */
const isAsking = (device) => device.choices.length > 0 && !device.chosen && device.state === "not-recognised";

function ask(device) {
  return h("div", { class: "ask" }, h("p", {}, t("device.ask")),
    h("p", { class: "buttons" }, device.choices.map((driver) => h("button", {
      type: "button", "data-key": `is-${device.name}-${driver}`, onclick: () => identify(device, driver),
    }, tOr(`driver.${driver}`, driver)))));
}

const identify = (device, model) => act(() => post(`devices/${part(device.name)}/identify`, { model }), t(model ? "device.identified" : "device.forgotten"));

/** Hands a recorder to the patient of the open visit: its nights are that patient's, whenever it comes back. */
function lend(device) {
  const visit = openVisit();
  const window_ = dialog(t("loan.title"), h("p", { class: "dialog-patient" }, fullName(visit.patient)),
    h("p", {}, t("loan.text", { name: deviceTitle(device), serial: device.serial })),
    h("p", { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: async () => {
        window_.close();
        await act(() => post("loans", { device: device.name, visit: visit.id }), t("loan.given", { name: fullName(visit.patient) }));
      } }, t("loan.go")),
      h("button", { type: "button", onclick: () => window_.close() }, t("cancel"))));
}

/** Empties a recorder's memory: offered only once the agent has heard from it that the centre has all that it holds. */
async function erase(device) {
  const path = `devices/${part(device.name)}/erase`;
  const found = await act(() => post(path, {}));
  if (!found) return;
  if (found.recordings === 0) return dialog(t("erase.title"), h("p", {}, t("erase.nothing")));
  const window_ = dialog(t("erase.title"), h("p", {}, t("erase.text", { name: deviceTitle(device), serial: found.serial, count: found.recordings })),
    h("p", { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: () => window_.close() }, t("cancel")),
      h("button", { type: "button", onclick: () => { window_.close(); act(() => post(path, { confirm: found.serial }), t("erase.done")); } }, t("erase.go"))));
}

function progress(device) {
  const now = device.session.recordings.at(-1);
  if (!now?.expected) return h("p", {}, t("device.progress.unknown", { done: now?.samples ?? 0 }));
  const percent = Math.floor(now.samples * 100 / now.expected);
  return h("p", { class: "progress" },
    h("progress", { max: now.expected, value: now.samples, "aria-label": t("device.progress.label") }),
    t("device.progress", { done: now.samples, total: now.expected, percent }));
}

/** Starts a capture or a download; without an open visit only after a word of warning. */
function begin(device, what, loan = null) {
  const go = async () => {
    const started = await act(() => post(`devices/${part(device.name)}/${what}`), what === "start" ? null : t("device.downloading"));
    if (started && what === "start") location.hash = `#/direct/${part(device.name)}`;
  };
  if (openVisit() || loan) return go();
  const window_ = dialog(t("device.confirm.title"), h("p", {}, t("device.confirm.text")),
    h("p", { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: () => window_.close() }, t("cancel")),
      h("button", { type: "button", onclick: () => { window_.close(); go(); } }, t("device.confirm.go"))));
}
