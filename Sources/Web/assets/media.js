// Clés et cartes: what is on a stick, how far its copy is, and when it may be pulled out.
import { act, openVisit, state } from "./app.js";
import { part, post } from "./api.js";
import { dialog, duration, h, size, svg } from "./dom.js";
import { t, typeset } from "./strings.js";

const picture = () => svg("svg", { viewBox: "0 0 64 64", class: "picture", "aria-hidden": "true" },
  svg("path", { d: "M8 22h34v20H8zM42 26h12v12H42M46 30h4m-4 4h4", fill: "none", stroke: "currentColor", "stroke-width": 3, "stroke-linejoin": "round" }));

export const mediaCards = () => state.media.map(card);

function card(medium) {
  const { progress } = medium;
  // What is out can't be copied: the button comes back with the stick.
  const canCopy = ["ready", "interrupted"].includes(medium.state) && medium.problem?.key !== "medium-gone" && (medium.found?.recordings || medium.found?.otherFiles || medium.state === "interrupted");
  return h("article", { class: `card device medium ${medium.state}` },
    h("div", { class: "device-head" }, picture(),
      h("div", {}, h("h3", {}, medium.label || t("media.title")),
        medium.found ? h("p", { class: "hint" }, t("media.found", { count: medium.found.recordings, others: medium.found.otherFiles, size: size(medium.found.bytes) })) : null)),
    // What matters most: may she pull it out?
    // (A copy that was cut isn't good news, although nothing is lost by it.)
    h("p", { class: medium.mayRemove && !medium.problem ? "may-remove" : "must-stay" },
      h("span", { "aria-hidden": "true" }, medium.mayRemove && !medium.problem ? "✓ " : "⚠ "), typeset(medium.sentence)),
    medium.hint ? h("p", { class: "refusal" }, typeset(medium.hint)) : null,
    medium.state === "importing" && progress ? h("p", { class: "progress" },
      h("progress", { max: Math.max(progress.ofBytes, 1), value: progress.bytes, "aria-label": t("media.progress.label") }),
      t("media.progress", { done: progress.items, total: progress.ofItems }),
      progress.secondsLeft === undefined ? null : ` · ${t("media.left", { time: duration(progress.secondsLeft) })}`) : null,
    medium.imported.length || medium.known.length ? h("p", { class: "hint" }, t("media.result", { news: medium.imported.length, known: medium.known.length })) : null,
    medium.held.length ? h("p", { class: "refusal" }, h("a", { href: "#/enregistrements" }, t("media.held", { count: medium.held.length }))) : null,
    medium.failed.length ? h("ul", { class: "hint" }, medium.failed.slice(0, 5).map((failure) => h("li", {}, typeset(failure.text)))) : null,
    h("p", { class: "buttons" },
      canCopy ? h("button", { type: "button", class: "primary", "data-key": `copy-${medium.id}`, onclick: () => copy(medium) },
        t(medium.state === "interrupted" ? "media.continue" : "media.copy"), openVisit() ? null : h("small", {}, t("device.nopatient"))) : null,
      medium.state === "importing" ? h("button", { type: "button", "data-key": `halt-${medium.id}`, onclick: () => act(() => post(`media/${part(medium.id)}/stop`)) }, t("media.stop")) : null));
}

/** Copies it; without an open visit only after a word of warning. */
function copy(medium) {
  const go = () => act(() => post(`media/${part(medium.id)}/import`), t("media.copying"));
  if (openVisit()) return go();
  const window_ = dialog(t("device.confirm.title"), h("p", {}, t("media.confirm.text")),
    h("p", { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: () => window_.close() }, t("cancel")),
      h("button", { type: "button", onclick: () => { window_.close(); go(); } }, t("media.confirm.go"))));
}
