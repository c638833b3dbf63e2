// Aujourd'hui: the visits, and what is plugged in.
import { act, openVisit, pathwayTitle, runningDevices, spaced, state, status } from "./app.js";
import { part, post } from "./api.js";
import { deviceCards, deviceFacts } from "./devices.js";
import { age, dialog, fullName, h, say, sexName, show, time, today } from "./dom.js";
import { background } from "./opinions.js";
import { checklist, closeVisit } from "./plan.js";
import { t, tOr } from "./strings.js";

export function visits(main) {
  const search = h("input", {
    type: "search", id: "search", autocomplete: "off", spellcheck: "false", oninput: () => list(),
    onkeydown: (event) => { if (event.key === "Enter") scanned(); },
  });
  const cards = h("div", { class: "cards" });
  const devices = h("div", { class: "cards" });
  main.append(h("div", { class: "columns" },
    h("section", { "aria-labelledby": "visits-title" },
      h("h1", { id: "visits-title" }, t("visits.title")),
      h("label", { for: "search" }, t("visits.search")), search, cards),
    h("section", { "aria-labelledby": "devices-title" }, h("h2", { id: "devices-title" }, t("devices.title")), devices)));

  /** A scanner types the code and Enter: one hit is the visit. */
  function scanned() {
    const hits = found();
    if (hits.length !== 1 || hits[0].status === "open" || hits[0].status === "cancelled") return;
    const reason = blocked(hits[0]);
    search.value = "";
    list();
    if (reason) say(reason, "bad");
    else check(hits[0]);
  }

  const found = () => state.visits.filter((visit) => fits(visit, search.value));

  function list() {
    const hits = found();
    const day = today();
    const facts = [hits, openVisit()?.id, runningDevices().map((device) => device.name), day, state.plan, state.carePlan, state.opinions];
    show(cards, facts, () => {
      if (!state.visits.length) return h("p", { class: "hint" }, t("visits.none"));
      if (!hits.length) return h("p", { class: "hint" }, t("visits.search.none"));
      const isToday = (visit) => visit.status === "open" || !visit.plannedAt || visit.plannedAt.startsWith(day);
      const others = hits.filter((visit) => !isToday(visit));
      // The open one first: it is the one that she is in.
      const now = hits.filter(isToday).sort((a, b) => (b.status === "open") - (a.status === "open"));
      return [...now.map(card), others.length ? h("h2", {}, t("visits.other")) : null, ...others.map(card)]
        .filter(Boolean);
    });
  }

  function update() {
    list();
    show(devices, deviceFacts(), deviceCards);
  }

  return { update };
}

const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toUpperCase();

/** A scanner that takes the keyboard for an American one presses the keys of the digits: on a French one, these come out. */
const KEYS = { "&": "1", "é": "2", '"': "3", "'": "4", "(": "5", "-": "6", "è": "7", "_": "8", "ç": "9", "à": "0" };
const unshifted = (text) => [...text].map((character) => KEYS[character] ?? character).join("");

/** By words of the name, or by an INS anywhere in what a scanner typed. */
function fits({ patient }, text) {
  const wanted = plain(text).trim();
  if (!wanted) return true;
  if (patient.ins && [wanted, plain(unshifted(text))].some((typed) => typed.replace(/\s/g, "").includes(patient.ins.slice(0, 13)))) return true;
  const name = plain(fullName(patient));
  return wanted.split(/\s+/).every((word) => name.includes(word) || patient.ins?.startsWith(word));
}

/** Why a visit can't be opened now; nil when it can. */
function blocked(visit) {
  const other = openVisit();
  if (!other || other.id === visit.id) return null;
  const name = fullName(other.patient);
  return t(runningDevices().length ? "visits.blocked.capture" : "visits.blocked.other", { name });
}

function card(visit) {
  const { patient } = visit;
  const years = age(patient.birthDate);
  const reason = blocked(visit);
  const isOpen = visit.status === "open";
  const count = t(visit.recordings > 1 ? "visits.count.n" : `visits.count.${visit.recordings}`, { count: visit.recordings });
  const name = `name-${visit.id}`;
  return h("article", { class: `card visit ${visit.status}`, "aria-labelledby": name },
    h("p", { class: "when" }, visit.plannedAt ? t("visits.at", { time: time(visit.plannedAt) }) : t("visits.notime"),
      h("span", { class: "badge" }, tOr(`visit.status.${visit.status}`, visit.status))),
    h("h3", { id: name, class: "name" }, h("strong", {}, patient.family), " ", patient.given.join(" ")),
    h("p", { class: "traits" }, [years === null ? "" : t("patient.age", { age: years }), sexName(patient.sex), visit.place ?? t("visits.noplace")].filter(Boolean).join(" · ")),
    h("p", { class: "reason" },
      visit.pathway ? h("strong", {}, pathwayTitle(visit.pathway)) : null,
      visit.pathway && visit.reason ? " – " : null, visit.reason ?? null),
    h("p", { class: "hint" }, count),
    isOpen ? background(visit) : null,
    isOpen ? checklist(visit) : null,
    reason && visit.status !== "cancelled" ? h("p", { class: "refusal", id: `why-${visit.id}` }, reason) : null,
    visit.status === "cancelled" ? null
      : isOpen ? h("button", { type: "button", class: "wide", "data-key": `close-${visit.id}`, onclick: () => closeVisit(visit) }, t("visits.close"))
      : h("button", {
        type: "button", class: "primary wide", "data-key": `open-${visit.id}`, disabled: reason !== null,
        "aria-describedby": reason ? `why-${visit.id}` : null, onclick: () => check(visit),
      }, t(visit.status === "closed" ? "visits.reopen" : "visits.open")));
}

/** The strict traits, before anything can be recorded. The birth date isn't shown: it is asked for. */
function check(visit) {
  const { patient } = visit;
  const date = h("input", { id: "check-date", inputmode: "numeric", autocomplete: "off", maxlength: "10", "aria-describedby": "check-date-hint" });
  const ticked = h("input", { type: "checkbox", id: "check-traits" });
  const problem = h("p", { class: "problem", role: "alert" });
  const traits = [
    [t("check.family"), patient.family], [t("check.given"), patient.given.join(" ")], [t("check.sex"), sexName(patient.sex)],
    patient.birthPlace ? [t("check.birthplace"), patient.birthPlace] : null,
    [t("check.ins"), [patient.ins ? spaced(patient.ins) : t("patient.noins"), status(patient)].filter(Boolean).join(" · ")],
  ].filter(Boolean);
  date.addEventListener("input", () => {
    // The slashes come by themselves while digits are typed at the end.
    if (/^(\d\d|\d\d\/\d\d)$/.test(date.value) && date.value.length > (date.before ?? 0)) date.value += "/";
    date.before = date.value.length;
  });
  const submit = async (event) => {
    event.preventDefault();
    let birthDate = null;
    if (patient.birthDate) {
      const typed = /^(\d\d)\/?(\d\d)\/?(\d{4})$/.exec(date.value.trim());
      if (!typed) return refuse(t("check.bad-date"), date);
      birthDate = `${typed[3]}-${typed[2]}-${typed[1]}`;
    }
    if (!ticked.checked) return refuse(t("check.unticked"), ticked);
    try {
      await post(`visits/${part(visit.id)}/open`, { check: { birthDate, traitsConfirmed: true } });
    } catch (error) {
      return refuse(error.message, date);
    }
    window_.close();
    await act(async () => {}, t("visits.opened", { name: fullName(patient) }));
  };
  const refuse = (text, field) => {
    problem.textContent = text;
    field.focus();
  };
  const window_ = dialog(t("check.title"),
    h("p", {}, t("check.intro")),
    h("dl", { class: "traits-list" }, traits.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value)))),
    h("form", { novalidate: true, onsubmit: submit },
      patient.birthDate
        ? h("div", { class: "field" }, h("label", { for: "check-date" }, t("check.date")), date, h("p", { class: "hint", id: "check-date-hint" }, t("check.date.hint")))
        : h("p", { class: "refusal" }, t("check.date.none")),
      h("label", { class: "tick" }, ticked, h("span", {}, t("check.traits"))),
      problem,
      h("p", { class: "buttons" },
        h("button", { class: "primary" }, t("check.confirm")),
        h("button", { type: "button", onclick: () => window_.close() }, t("cancel")))));
  (patient.birthDate ? date : ticked).focus();
}
