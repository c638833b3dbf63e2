// Enregistrements: the list, one recording with its trace, and what a person has to decide.
import { act, openVisit, spaced, state, visitOf } from "./app.js";
import { get, part, post, unpack } from "./api.js";
import { age, bornOn, day, decimal, duration, fullName, h, moment, sexName, show, size } from "./dom.js";
import { calipers } from "./calipers.js";
import { isCalibrated, isVoltage, LEADS, marks, millivolts, paper, pixelsPerMillimetre, trend, withDerived } from "./ecg.js";
import { images } from "./images.js";
import { t, tOr, typeset } from "./strings.js";

export function recordings(main, [id]) {
  return id ? detail(main, id) : list(main);
}

export const kind = (recording) => tOr(`recording.${recording.modality}.${recording.kind}`, t("recording.other"));

/** Single values don't last. */
export const lasted = (recording) => (recording.seconds ? duration(recording.seconds) : "");

/** What became of it at the centre, as far as receipts tell. */
export function sent(recording) {
  const states = recording.documents.map((document) => document.state);
  const worst = ["quarantined", "sending", "waiting", "received"].find((state) => states.includes(state));
  return worst ?? "none";
}

/** Waits for a decision of a person: whose it is, or when it began. */
export const isUndecided = (recording) => recording.state !== "open" && !recording.supersededBy && recording.attention !== undefined
  && recording.originalBytes > 0 && (!recording.visit || (recording.startSource === "unknown" && !recording.documents.length));

const patientName = (recording) => {
  const visit = visitOf(recording);
  return visit ? fullName(visit.patient) : t("recordings.nobody");
};

function list(main) {
  const only = h("input", { type: "checkbox", id: "only", onchange: () => update() });
  const filter = h("label", { class: "tick", for: "only" }, only, h("span", {}, t("recordings.filter.visit")));
  const todo = h("section", {});
  const table = h("section", {});
  main.append(h("h1", {}, t("recordings.title")), filter, todo, table);

  function update() {
    const visit = openVisit();
    filter.hidden = !visit;
    const shown = state.recordings.filter((recording) => !visit || !only.checked || recording.visit === visit.id);
    const undecided = state.recordings.filter(isUndecided);
    show(todo, [undecided, state.visits], () => undecided.length
      ? [h("h2", {}, t("recordings.attention")), h("div", { class: "cards" }, undecided.map(todoCard))] : []);
    show(table, [shown, state.visits], () => [
      h("h2", {}, t("recordings.all")),
      shown.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("recordings.all") }, h("table", {},
        h("thead", {}, h("tr", {}, ["patient", "what", "start", "length", "state", "sent"].map((key) =>
          h("th", { scope: "col" }, t(`recordings.${key}`))))),
        h("tbody", {}, shown.map(row)))) : h("p", { class: "hint" }, t("recordings.none")),
    ]);
  }
  return { update };
}

const simulated = (recording) => recording.origin === "simulated" ? h("span", { class: "badge simulated" }, t("simulated")) : null;

function todoCard(recording) {
  return h("article", { class: "card attention" },
    h("h3", {}, `${kind(recording)}, ${moment(recording.start)}`, " ", simulated(recording)),
    h("p", {}, [patientName(recording), lasted(recording), recording.device].filter(Boolean).join(" · ")),
    h("p", { class: "refusal" }, typeset(recording.attention)),
    h("p", { class: "buttons" }, h("a", { class: "button primary", href: `#/enregistrements/${recording.id}` }, t("recordings.decide"))));
}

function row(recording) {
  const where = sent(recording);
  return h("tr", {},
    h("th", { scope: "row", class: recording.visit ? "" : "nobody" },
      h("a", { href: `#/enregistrements/${recording.id}`, "data-key": recording.id }, patientName(recording))),
    h("td", {}, kind(recording), " ", simulated(recording)),
    h("td", {}, moment(recording.start)),
    h("td", {}, lasted(recording)),
    h("td", {}, h("span", { class: `pill ${recording.state}` }, t(`recording.state.${recording.state}`)),
      recording.attention && recording.state !== "open" ? h("span", { class: "attention-text" }, typeset(recording.attention)) : null),
    h("td", {}, h("span", { class: `pill ${where}` }, t(`document.state.${where}`))));
}

function detail(main, id) {
  const title = h("div", {});
  const decision = h("section", { class: "decision" });
  const trace = h("section", { class: "trace-area" });
  const facts = h("section", {});
  main.append(h("p", { class: "screen-only" }, h("a", { href: "#/enregistrements" }, `← ${t("recordings.title")}`)), title, decision, trace, facts);
  let drawn = null;
  let known = null;
  let isClosed = false;

  async function update() {
    const recording = state.recordings.find((recording) => recording.id === id);
    if (!recording) return void show(title, "none", () => [h("p", { class: "big" }, t("problem.recording-not-found"))]);
    show(title, [recording, visitOf(recording), openVisit()?.id], () => heading(recording));
    const stamp = `${recording.state}/${recording.visit}/${recording.start}/${recording.state === "open" ? "" : recording.seconds}`;
    if (drawn === stamp) return;
    drawn = stamp;
    try {
      const [more, identity] = await Promise.all([get(`recordings/${part(id)}`), get(`recordings/${part(id)}/identity`)]);
      if (isClosed) return;
      known = more;
      show(decision, [identity, recording.state, recording.supersededBy, recording.visit, recording.startSource, state.visits.map((visit) => visit.id)], () => decide(recording, identity));
      show(facts, more, () => tables(more));
      if (recording.state === "open") return;
      if (recording.modality === "imaging") return void await images(trace, recording);
      const values = more.readings.length ? readings(more.readings) : null;
      if (values && (!more.channels.length || recording.seconds === 0)) return void trace.replaceChildren(values);
      if (recording.modality === "other") return void trace.replaceChildren(h("p", { class: "hint" }, t("recording.carried")));
      if (recording.seconds === 0) return void trace.replaceChildren(h("p", {}, t("recording.empty")));
      await (recording.modality === "ecg" ? ecg(trace, recording) : trends(trace, recording, more));
      // What the device computed beside its waves.
      if (values && !isClosed) trace.append(values);
    } catch (problem) {
      if (isClosed) return;
      drawn = null;
      trace.replaceChildren(h("p", { class: "problem" }, problem.message));
    }
  }
  return {
    update,
    close() {
      isClosed = true;
      window.onbeforeprint = window.onafterprint = null;
    },
  };
}

function heading(recording) {
  const visit = visitOf(recording);
  const patient = visit?.patient;
  return [
    h("div", { class: "sheet-head" },
      h("div", {},
        h("h1", {}, kind(recording), " ", simulated(recording)),
        patient
          ? h("p", { class: "owner" }, h("strong", {}, patient.family), ` ${patient.given.join(" ")} `, h("span", {}, [bornOn(patient), sexName(patient.sex), patient.ins ? t("patient.ins", { ins: spaced(patient.ins) }) : t("patient.noins")].filter(Boolean).join(" · ")))
          : h("p", { class: "owner nobody" }, t("paper.nobody")),
        h("p", {}, [`${t("recording.began")} ${moment(recording.start)} (${t(`recording.source.${recording.startSource}`)})`,
          lasted(recording) ? `${t("recording.lasted")} ${lasted(recording)}` : "", `${recording.device} ${recording.serial ?? ""}`].filter(Boolean).join(" · "))),
      h("div", { class: "sheet-state" },
        h("span", { class: `pill ${recording.state}` }, t(`recording.state.${recording.state}`)),
        h("span", { class: `pill ${sent(recording)}` }, t(`document.state.${sent(recording)}`)),
        h("p", { class: "print-only unread" }, t("paper.unread")),
        recording.state === "interrupted" ? h("p", { class: "print-only unread" }, t("paper.interrupted")) : null,
        recording.origin === "simulated" ? h("p", { class: "print-only unread" }, t("simulated")) : null,
        h("p", { class: "print-only" }, t("paper.printed", { date: new Date().toLocaleString("fr-FR") })))),
    openVisit() && visit && visit.patient.id !== openVisit().patient.id ? h("p", { class: "refusal screen-only" }, t("recording.other-patient")) : null,
    recording.supersededBy ? h("p", { class: "refusal" }, t("recording.superseded")) : null,
  ].filter(Boolean);
}

async function ecg(area, recording) {
  const window_ = { from: 0, speed: 25, gain: 10, zoom: 100 };
  const measured = h("output", { class: "measured", "aria-live": "polite" });
  const measure = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    window_.measures = !window_.measures;
    measure.setAttribute("aria-pressed", String(window_.measures));
    measured.textContent = "";
    draw();
    if (window_.measures) sheet.querySelector("svg")?.focus();
  } }, t("calipers.open"));
  const sheet = h("div", { class: "sheet scroll", tabindex: "0", role: "region", "aria-label": kind(recording) });
  const where = h("span", { role: "status" });
  const choice = (key, values) => h("label", {}, t(`recording.${key}`), " ", h("select", {
    onchange: (event) => { window_[key] = Number(event.target.value); draw(); },
  }, values.map((value) => h("option", { value, selected: value === window_[key] }, t(`recording.${key}.value`, { value: decimal(value, value % 1 ? 1 : 0) })))));
  const move = (by) => { window_.from = Math.max(0, Math.min(window_.from + by, Math.max(0, recording.seconds - 10))); load(); };
  area.replaceChildren(h("div", { class: "tools screen-only" },
    choice("speed", [12.5, 25, 50]), choice("gain", [5, 10, 20]), choice("zoom", [100, 150, 200, 300]), measure, measured,
    recording.seconds > 10.5 ? h("button", { type: "button", onclick: () => move(-10) }, t("recording.earlier")) : null,
    recording.seconds > 10.5 ? h("button", { type: "button", onclick: () => move(10) }, t("recording.later")) : null,
    where,
    h("button", { type: "button", class: "primary", onclick: () => print() }, t("recording.print")),
    isCalibrated() ? null : h("span", { class: "hint" }, t("ruler.uncalibrated"))), sheet);
  let leads = {};
  let hasScale = true;
  let isPrinting = false;
  window.onbeforeprint = () => { isPrinting = true; draw(); };
  window.onafterprint = () => { isPrinting = false; draw(); };
  async function load() {
    const trace = await get(`recordings/${part(recording.id)}/trace?from=${window_.from}&seconds=10`);
    leads = {};
    const found = trace.channels.filter((channel) => channel.signal in LEADS);
    hasScale = found.every(isVoltage);
    measure.disabled = !hasScale;
    for (const channel of found) {
      leads[channel.signal] = { rate: channel.rate, values: unpack(channel.samples, channel.scale * millivolts(channel)) };
    }
    if (!hasScale) fit(leads);
    leads = withDerived(leads);
    where.textContent = t("recording.window", { from: duration(trace.from), to: duration(trace.from + trace.seconds), total: duration(trace.total) });
    window_.to = trace.from + trace.seconds;
    draw();
  }
  function draw() {
    const names = Object.keys(LEADS).filter((signal) => leads[signal]).map((signal) => LEADS[signal]).join(", ");
    // A4 holds ten seconds at 25 mm/s with 10 mm/mV; what says so on paper must be true with a ruler.
    const [speed, gain] = isPrinting ? [Math.min(window_.speed, 25), Math.min(window_.gain, 10)] : [window_.speed, window_.gain];
    const footer = [
      t("recording.speed.value", { value: decimal(speed, speed % 1 ? 1 : 0) }), hasScale ? t("recording.gain.value", { value: gain }) : t("paper.unscaled"),
      t("paper.filter"), window_.from ? t("paper.from", { from: decimal(window_.from, 0) }) : null, t("paper.unread"),
      recording.origin === "simulated" ? t("simulated") : null,
    ].filter(Boolean).join(" · ");
    const drawing = paper(leads, {
      speed, gain, footer, hasScale,
      label: t(hasScale ? "recording.alt.ecg" : "recording.alt.ecg.unscaled", { leads: names, from: duration(window_.from), to: duration(window_.to) }),
    });
    drawing.style.setProperty("--screen", `${drawing.dataset.width * pixelsPerMillimetre() * window_.zoom / 100}px`);
    drawing.style.setProperty("--width", `${drawing.dataset.width}mm`);
    drawing.style.setProperty("--height", `${drawing.dataset.height}mm`);
    sheet.replaceChildren(drawing);
    if (window_.measures && !isPrinting) calipers(drawing, { speed, gain }, (text) => { measured.textContent = text; });
  }
  await load();
}

/** Device's steps that nobody can tell in millivolts: as high as fits, the same for all leads. */
function fit(leads) {
  const most = Math.max(...Object.values(leads).map(({ values }) => {
    const present = values.filter((value) => !Number.isNaN(value));
    return present.length ? present.reduce((high, value) => Math.max(high, value)) - present.reduce((low, value) => Math.min(low, value)) : 0;
  }));
  if (!(most > 0)) return;
  for (const lead of Object.values(leads)) lead.values = lead.values.map((value) => value * 1.5 / most);
}

/** Hours on one sheet, at most 1000 columns: the smallest and the largest value of each. */
async function trends(area, recording, more) {
  const trace = await get(`recordings/${part(recording.id)}/trace?columns=1000`);
  const ticks = axis(recording, trace.total);
  const one = (signal, name, from, to, step) => {
    const channel = trace.channels.find((channel) => channel.signal === signal);
    if (!channel) return null;
    const values = unpack(channel.samples, channel.scale);
    const present = values.filter((value) => !Number.isNaN(value));
    const [low, high] = present.length ? [Math.min(...present), Math.max(...present)] : [null, null];
    const label = t("recording.alt.trend", { name, low: low ?? "—", high: high ?? "—", unit: "" });
    return h("figure", {}, h("figcaption", {}, name), trend(values, { from, to, step, ticks, label, className: signal }));
  };
  area.replaceChildren(...[
    h("div", { class: "tools screen-only" }, h("button", { type: "button", class: "primary", onclick: () => print() }, t("recording.print"))),
    one("spo2", t("recording.trend.spo2"), 50, 100, 10), one("pulseRate", t("recording.trend.pulse"), 30, 150, 30),
    events(more, trace.total, ticks),
    h("p", { class: "hint" }, t("live.device-values")),
  ].filter(Boolean));
}

/** What the device itself reported over the night, where it says so; counted, never judged. */
function events(more, total, ticks) {
  const reported = more.notes.filter((note) => ["device", "event"].includes(note.kind) && note.at !== undefined);
  if (!reported.length) return null;
  const names = [...new Set(reported.map((note) => note.text))];
  return h("figure", {}, h("figcaption", {}, t("recording.events", { count: reported.length })),
    marks(reported.map((note) => [note.at / total, (note.duration ?? 0) / total]), { ticks, label: t("recording.events", { count: reported.length }) }),
    h("ul", {}, names.slice(0, 12).map((name) => h("li", {}, h("span", { lang: "en" }, name), ` : ${reported.filter((note) => note.text === name).length}`))));
}

/** Round places on the time axis: by the clock when the start is known, else from zero. */
function axis(recording, total) {
  const step = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14_400].find((step) => total / step <= 10) ?? 28_800;
  const start = /[T ](\d\d):(\d\d):(\d\d)/.exec(recording.start ?? "");
  const zero = start ? Number(start[1]) * 3600 + Number(start[2]) * 60 + Number(start[3]) : 0;
  const two = (value) => String(value).padStart(2, "0");
  const ticks = [];
  for (let at = Math.ceil(zero / step) * step; at <= zero + total; at += step) {
    const clock = `${two(Math.floor(at / 3600) % 24)}:${two(Math.floor(at / 60) % 60)}`;
    ticks.push([(at - zero) / total, step < 60 ? `${clock}:${two(at % 60)}` : clock]);
  }
  return ticks;
}

function tables(more) {
  const visitName = (id) => {
    const visit = state.visits.find((visit) => visit.id === id);
    return visit ? fullName(visit.patient) : t("unknown");
  };
  const note = (item) => [t(`recording.note.${item.kind}`), item.at === undefined ? "" : t("recording.note.at", { time: duration(item.at) }),
    item.duration === undefined ? "" : t("recording.note.for", { time: duration(item.duration) })].filter(Boolean).join(" ");
  return [
    more.channels.length ? h("h2", {}, t("recording.channels")) : null,
    more.channels.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("recording.channels") }, h("table", {},
      h("thead", {}, h("tr", {}, ["name", "rate", "min", "max", "absent"].map((key) => h("th", { scope: "col" }, t(`recording.channel.${key}`))))),
      h("tbody", {}, more.channels.map((channel) => h("tr", {}, h("th", { scope: "row" }, channel.name), h("td", {}, decimal(channel.rate, channel.rate % 1 ? 1 : 0)),
        h("td", {}, value(channel.minimum, channel.unit)), h("td", {}, value(channel.maximum, channel.unit)),
        h("td", {}, `${decimal(channel.samples ? channel.absent * 100 / channel.samples : 0)} %`)))))) : null,
    more.notes.length ? h("h2", {}, t("recording.notes")) : null,
    more.notes.length ? h("ul", {}, more.notes.slice(0, 30).map((item) => h("li", {}, note(item), h("span", { class: "hint", lang: "en" }, ` ${item.text}`)))) : null,
    more.history.length ? h("h2", {}, t("recording.history")) : null,
    more.history.length ? h("ul", {}, more.history.map((entry) =>
      h("li", {}, [visitName(entry.visit), t(`recording.history.${entry.reason}`), entry.by, moment(entry.at), entry.why].filter(Boolean).join(" · ")))) : null,
  ].filter(Boolean);
}

/** Discrete values as the device gave them; those of one measurement in one line. */
export function readings(list) {
  const bySequence = new Map();
  for (const reading of list) bySequence.set(reading.sequence, [...bySequence.get(reading.sequence) ?? [], reading]);
  const text = (reading) => `${tOr(`reading.${reading.kind}`, reading.code ?? reading.kind)} ${decimal(reading.value, reading.value % 1 ? 1 : 0)} ${UNITS[reading.unit] ?? reading.unit}`;
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("recording.readings") }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("recordings.start")), h("th", { scope: "col" }, t("recording.readings")), h("th", { scope: "col" }, t("recording.notes")))),
    h("tbody", {}, [...bySequence.values()].slice(0, 500).map((group) => h("tr", {},
      h("th", { scope: "row" }, group[0].at ? moment(group[0].at) : t("recording.nostart")), h("td", {}, group.map(text).join(" · ")),
      h("td", {}, group[0].bank === undefined ? "" : `${t("recording.bank")} ${group[0].bank} `,
        h("span", { lang: "en" }, [...new Set(group.flatMap((reading) => reading.flags))].join(", "))))))));
}

const UNITS = { "mm[Hg]": "mmHg", "Cel": "°C" };

const value = (number, unit) => number === undefined ? "—" : `${decimal(number, Math.abs(number) % 1 ? 2 : 0)} ${unit === "1" ? "" : unit === "uV" ? "µV" : unit}`;

// Deciding

function decide(recording, identity) {
  if (recording.state === "open" || recording.supersededBy || recording.originalBytes === 0) return [];
  return [recording.visit ? null : whose(recording, identity), needsStart(recording) ? startTime(recording) : null].filter(Boolean);
}

const needsStart = (recording) => recording.startSource === "unknown" && !recording.documents.length;

/** Why it is nobody's, in a sentence. */
function waitsFor(recording, identity) {
  if (identity.heldAgainst) return t("decide.held");
  if (recording.unattributed === "noVisit" || !recording.attention) return t("decide.unattributed");
  return `${typeset(recording.attention[0].toUpperCase() + recording.attention.slice(1))}.`;
}

/** What the file says and what the visit says, side by side; the choice is the nurse's, with her reason. */
function whose(recording, identity) {
  const choices = state.visits.filter((visit) => visit.status !== "cancelled");
  const select = h("select", { id: "decide-visit", onchange: () => compare() },
    h("option", { value: "" }, t("decide.choose")),
    choices.map((visit) => h("option", { value: visit.id }, `${fullName(visit.patient)} – ${moment(visit.plannedAt ?? "")}`)));
  const why = h("input", { id: "decide-why", autocomplete: "off", maxlength: "200", "aria-describedby": "decide-why-hint" });
  const machine = h("input", { id: "decide-machine", type: "checkbox" });
  const problem = h("p", { class: "problem", role: "alert" });
  const sides = h("div", { class: "sides" });
  const confirm = h("button", { class: "primary" }, t("decide.confirm.none"));
  const chosen = () => choices.find((visit) => visit.id === select.value);

  function compare() {
    const visit = chosen() ?? choices.find((visit) => visit.id === identity.heldAgainst);
    const claim = identity.claim;
    const differs = new Set(visit && visit.id === identity.heldAgainst ? identity.contradictions.map((item) => item.kind) : []);
    const line = (key, text) => h("div", { class: differs.has(key) ? "differs" : "" }, h("dt", {}, t(`decide.kind.${key}`)),
      h("dd", {}, text, differs.has(key) ? h("strong", { class: "badge" }, t("decide.differs")) : null));
    const claimed = claim ? [
      claim.name ? line("name", claim.name) : null, claim.sex && claim.sex !== "unknown" ? line("sex", sexName(claim.sex)) : null,
      claim.birthDate ? line("birthDate", day(claim.birthDate)) : null, claim.age ? line("age", t("patient.age", { age: claim.age })) : null,
      claim.patientID ? line("patientID", claim.patientID) : null,
    ].filter(Boolean) : [];
    const earlier = identity.contradictions.find((item) => item.kind === "earlierBinding");
    if (earlier) {
      const owner = state.visits.find((visit) => visit.patient.id === earlier.claimed);
      claimed.push(line("earlierBinding", owner ? fullName(owner.patient) : earlier.claimed));
    }
    const twin = identity.contradictions.find((item) => item.kind === "objectIdentity");
    if (twin) claimed.push(line("objectIdentity", twin.expected));
    sides.replaceChildren(
      h("div", { class: "side" }, h("h3", {}, t("decide.claimed")), claimed.length ? h("dl", {}, claimed) : h("p", {}, t("decide.noclaim"))),
      visit ? h("div", { class: "side" }, h("h3", {}, t("decide.expected", { name: fullName(visit.patient) })), h("dl", {}, [
        line("name", fullName(visit.patient)), line("sex", sexName(visit.patient.sex)),
        line("birthDate", day(visit.patient.birthDate)), age(visit.patient.birthDate) === null ? null : line("age", t("patient.age", { age: age(visit.patient.birthDate) })),
        visit.patient.ins ? line("patientID", spaced(visit.patient.ins)) : null,
      ].filter(Boolean))) : "");
    const picked = chosen();
    confirm.textContent = picked ? t("decide.confirm", { name: fullName(picked.patient) }) : t("decide.confirm.none");
    confirm.disabled = !picked;
  }
  compare();
  return h("div", { class: "card attention" },
    h("h2", {}, t("decide.title")), h("p", {}, waitsFor(recording, identity)), sides,
    h("form", {
      novalidate: true, onsubmit: (event) => {
        event.preventDefault();
        const visit = chosen();
        if (!visit) return;
        if (!why.value.trim()) {
          problem.textContent = t("decide.why.missing");
          return why.focus();
        }
        act(() => post(`recordings/${part(recording.id)}/attribute`, { visit: visit.id, why: why.value.trim(), others: machine.checked ? identity.ofMachine.map((other) => other.id) : [] }),
          t(machine.checked ? "decide.done.machine" : "decide.done", { name: fullName(visit.patient), count: identity.ofMachine.length + 1 }));
      },
    },
      h("div", { class: "field" }, h("label", { for: "decide-visit" }, t("decide.visit")), select),
      h("div", { class: "field" }, h("label", { for: "decide-why" }, t("decide.why")), why, h("p", { class: "hint", id: "decide-why-hint" }, t("decide.why.hint"))),
      identity.ofMachine.length
        ? h("label", { class: "tick", for: "decide-machine" }, machine, h("span", {}, t("decide.machine", {
          count: identity.ofMachine.length, starts: identity.ofMachine.map((other) => moment(other.start)).sort().join(", ") }))) : null,
      problem, h("p", { class: "buttons" }, confirm)));
}

function startTime(recording) {
  // Two texts, not the browser's own field: that one writes 11/21 in a browser that isn't French.
  const date = h("input", { id: "start-date", inputmode: "numeric", autocomplete: "off", maxlength: "10", "aria-describedby": "start-hint" });
  const clock = h("input", { id: "start-time", inputmode: "numeric", autocomplete: "off", maxlength: "5", "aria-describedby": "start-hint" });
  const problem = h("p", { class: "problem", role: "alert" });
  return h("div", { class: "card attention" }, h("h2", {}, t("decide.start.title")), h("p", {}, t("decide.start.text")),
    h("form", {
      novalidate: true, onsubmit: (event) => {
        event.preventDefault();
        const dated = /^(\d\d)\/?(\d\d)\/?(\d{4})$/.exec(date.value.trim());
        const timed = /^(\d\d?)[:hH]?(\d\d)$/.exec(clock.value.trim());
        if (!dated || !timed) {
          problem.textContent = t("decide.start.bad");
          return (dated ? clock : date).focus();
        }
        const start = `${dated[3]}-${dated[2]}-${dated[1]} ${timed[1].padStart(2, "0")}:${timed[2]}:00`;
        act(() => post(`recordings/${part(recording.id)}/start-time`, { start }), t("decide.start.done"));
      },
    }, h("div", { class: "pair" },
      h("div", { class: "field" }, h("label", { for: "start-date" }, t("decide.start.date")), date),
      h("div", { class: "field" }, h("label", { for: "start-time" }, t("decide.start.time")), clock)),
      h("p", { class: "hint", id: "start-hint" }, t("decide.start.hint")), problem,
      h("p", { class: "buttons" }, h("button", { class: "primary" }, t("decide.start.save")))));
}
