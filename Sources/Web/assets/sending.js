// Envois: what waits, what is on its way, and what the centre has confirmed. Only a receipt makes something "reçu".
import { act, state, visitOf } from "./app.js";
import { get, part, post } from "./api.js";
import { duration, fullName, h, moment, show, size } from "./dom.js";
import { isUndecided, kind } from "./recordings.js";
import { t, tOr, typeset } from "./strings.js";

const GROUPS = ["quarantined", "sending", "waiting", "received"];

export function sending(main) {
  const head = h("div", {});
  const body = h("div", {});
  main.append(h("h1", {}, t("sending.title")), head, body);
  let view = null;
  let typed = [];
  let isAsking = false;
  let isClosed = false;

  async function ask() {
    if (isAsking) return;
    isAsking = true;
    try {
      [view, typed] = await Promise.all([get("sync/items"), get("sync/entries")]);
      if (!isClosed) draw();
    } catch {
      // The page says by itself that the agent doesn't answer.
    } finally {
      isAsking = false;
    }
  }

  function draw() {
    const { sync } = view;
    const typedIn = (name) => typed.filter((counts) => counts[name]);
    const count = (name) => view.items.filter((item) => item.state === name).length + typedIn(name).length;
    show(head, [sync, view.remainingBytes, view.rate, view.secondsLeft], () => [
      h("div", { class: `card sync ${sync.state}` }, h("p", { class: "big" }, typeset(sync.sentence)),
        sync.problem ? h("p", {}, tOr(`sending.hint.${sync.problem}`, "")) : null,
        view.remainingBytes ? h("p", {}, view.rate
          ? t("sending.remaining.rate", { size: size(view.remainingBytes), rate: size(Math.round(view.rate)), time: duration(view.secondsLeft ?? 0) })
          : t("sending.remaining", { size: size(view.remainingBytes) })) : null,
        h("p", { class: "hint" }, sync.lastContact ? t("sending.last", { time: moment(sync.lastContact) }) : t("sending.never")),
        h("p", { class: "buttons" }, h("button", { type: "button", "data-key": "now", onclick: () => act(() => post("sync")) }, t("sending.now")))),
      h("p", { class: "hint" }, t("sending.explain")),
    ]);
    const undecided = state.recordings.filter(isUndecided).length;
    show(body, [view.items, typed, undecided, state.visits.length, state.recordings.length], () => [
      undecided ? h("p", { class: "refusal" }, h("a", { href: "#/enregistrements" }, t("sending.undecided", { count: undecided }))) : null,
      h("div", { class: "groups" }, GROUPS.filter((name) => count(name) || name !== "quarantined").map((name) =>
        h("section", { class: `group ${name}` },
          h("h2", {}, t(`sending.${name}`), " ", h("span", { class: "count" }, t("sending.count", { count: count(name) }))),
          count(name) ? h("ul", { class: "documents" }, typedIn(name).map((counts) => entries(counts, name)), view.items.filter((item) => item.state === name).map(line))
            : h("p", { class: "hint" }, t(`sending.none.${name}`))))),
    ].filter(Boolean));
  }

  return {
    update: () => void ask(),
    close() { isClosed = true; },
  };
}

/** What was typed at a visit goes up together. */
function entries(counts, name) {
  const visit = visitOf(counts);
  return h("li", {}, h("p", {}, h("strong", {}, visit ? fullName(visit.patient) : t("recordings.nobody"))),
    h("p", { class: "hint" }, t(counts[name] > 1 ? "sending.entries.n" : "sending.entries.1", { count: counts[name] })));
}

function line(item) {
  const recording = state.recordings.find((recording) => recording.id === item.recording);
  const visit = visitOf(recording ?? { visit: item.visit });
  const document = recording?.documents.find((document) => document.id === item.document);
  const receipt = document?.receipt;
  return h("li", {},
    h("p", {}, h("strong", {}, visit ? fullName(visit.patient) : t("recordings.nobody")),
      ` · ${recording ? kind(recording) : t("recording.other")} · ${recording ? moment(recording.start) : ""}`,
      recording?.origin === "simulated" ? h("span", { class: "badge simulated" }, t("simulated")) : null),
    h("p", { class: "hint" }, [tOr(`sending.role.${item.role}`, item.role), size(item.size),
      item.state === "received" && receipt ? receipt.matches
        ? t("sending.receipt", { time: moment(receipt.storedAt), hash: receipt.sha256.slice(0, 12) })
        : t("sending.mismatch") : null,
      item.notBefore ? t("sending.again.at", { time: moment(item.notBefore) }) : null].filter(Boolean).join(" · ")),
    item.state === "sending" || item.state === "waiting" && item.confirmedBytes
      ? h("p", { class: "progress" }, h("progress", { max: item.size, value: item.confirmedBytes, "aria-label": t("sending.progress.label") }),
        t("sending.progress", { done: size(item.confirmedBytes), total: size(item.size), percent: Math.floor(item.confirmedBytes * 100 / Math.max(item.size, 1)) }),
        item.rate ? ` · ${t("sending.rate", { rate: size(Math.round(item.rate)), time: duration(item.secondsLeft ?? 0) })}` : null) : null,
    item.state === "quarantined"
      ? [item.detail ? h("p", { class: "hint" }, t("sending.error", { error: item.detail })) : null,
        h("p", { class: "buttons" }, h("button", { type: "button", "data-key": `again-${item.document}`,
          onclick: () => act(() => post(`documents/${part(item.document)}/requeue`), t("sending.again.done")) }, t("sending.again")))] : null);
}
