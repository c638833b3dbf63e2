// Envois: what waits, what is on its way, and what the centre has confirmed. Only a receipt makes something "reçu".
import { act, state, visitOf } from "./app.js";
import { part, post } from "./api.js";
import { duration, fullName, h, moment, show, size } from "./dom.js";
import { isUndecided, kind } from "./recordings.js";
import { t, tOr, typeset } from "./strings.js";

export function sending(main) {
  const head = h("div", {});
  const body = h("div", {});
  main.append(h("h1", {}, t("sending.title")), head, body);
  let before = null;

  /** Bytes per second of what is being sent, from one look to the next. */
  function rate(sync) {
    const now = sync.document ? { document: sync.document, bytes: sync.sentBytes ?? 0, at: performance.now() } : null;
    let speed = null;
    if (now && before?.document === now.document && now.bytes > before.bytes) {
      speed = (now.bytes - before.bytes) / ((now.at - before.at) / 1000);
    }
    if (!now || !before || now.document !== before.document || now.bytes !== before.bytes) before = now;
    return speed;
  }

  function update() {
    const { sync } = state.status;
    const speed = rate(sync);
    show(head, sync, () => [
      h("div", { class: `card sync ${sync.state}` }, h("p", { class: "big" }, typeset(sync.sentence)),
        h("p", { class: "hint" }, sync.lastContact ? t("sending.last", { time: moment(sync.lastContact) }) : t("sending.never")),
        h("p", { class: "buttons" }, h("button", { type: "button", "data-key": "now", onclick: () => act(() => post("sync")) }, t("sending.now")))),
      h("p", { class: "hint" }, t("sending.explain")),
    ]);
    const documents = state.recordings.flatMap((recording) => recording.documents.map((document) => ({ recording, document })));
    // Being sent right now is what the engine says; a document that has begun and waits is still on its way.
    const groups = ["quarantined", "sending", "waiting", "received"].map((name) => [name, documents.filter(({ document }) => document.state === name)]);
    const undecided = state.recordings.filter(isUndecided).length;
    show(body, [groups, sync.document, sync.sentBytes, speed, undecided, state.visits.length], () => [
      undecided ? h("p", { class: "refusal" }, h("a", { href: "#/enregistrements" }, t("sending.undecided", { count: undecided }))) : null,
      h("div", { class: "groups" }, groups.filter(([name, items]) => items.length || name !== "quarantined").map(([name, items]) =>
        h("section", { class: `group ${name}` },
          h("h2", {}, t(`sending.${name}`), " ", h("span", { class: "count" }, t("sending.count", { count: items.length }))),
          items.length ? h("ul", { class: "documents" }, items.map((item) => line(item, sync, speed))) : h("p", { class: "hint" }, t(`sending.none.${name}`))))),
    ].filter(Boolean));
  }
  return { update };
}

function line({ recording, document }, sync, speed) {
  const visit = visitOf(recording);
  const isNow = sync.document?.toLowerCase() === document.id;
  const done = isNow ? Math.max(sync.sentBytes ?? 0, document.confirmedBytes) : document.confirmedBytes;
  return h("li", {},
    h("p", {}, h("strong", {}, visit ? fullName(visit.patient) : t("recordings.nobody")), ` · ${kind(recording)} · ${moment(recording.start)}`,
      recording.origin === "simulated" ? h("span", { class: "badge simulated" }, t("simulated")) : null),
    h("p", { class: "hint" }, [tOr(`sending.role.${document.role}`, document.role), size(document.size),
      document.receipt ? document.receipt.matches
        ? t("sending.receipt", { time: moment(document.receipt.storedAt), hash: document.receipt.sha256.slice(0, 12) })
        : t("sending.mismatch") : null].filter(Boolean).join(" · ")),
    document.state === "sending" || isNow
      ? h("p", { class: "progress" }, h("progress", { max: document.size, value: done, "aria-label": t("sending.progress.label") }),
        t("sending.progress", { done: size(done), total: size(document.size), percent: Math.floor(done * 100 / Math.max(document.size, 1)) }),
        speed && isNow ? ` · ${t("sending.rate", { rate: size(Math.round(speed)), time: duration((document.size - done) / speed) })}` : null) : null,
    document.state === "quarantined"
      ? [document.lastError ? h("p", { class: "hint" }, t("sending.error", { error: document.lastError })) : null,
        h("p", { class: "buttons" }, h("button", { type: "button", "data-key": `again-${document.id}`,
          onclick: () => act(() => post(`documents/${part(document.id)}/requeue`), t("sending.again.done")) }, t("sending.again")))] : null);
}
