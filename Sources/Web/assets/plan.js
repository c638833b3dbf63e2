// Bilan: what the pathway asks for at the open visit, forms to fill in, and closing with a reason for what is missing.
import { act, state } from "./app.js";
import { part, post } from "./api.js";
import { dialog, fullName, h, time } from "./dom.js";
import { t } from "./strings.js";

/** The checklist of the open visit; null without one. */
export function checklist(visit) {
  const plan = state.plan;
  if (!plan || plan.visit !== visit.id) return null;
  if (!plan.pathway) return h("p", { class: "hint" }, t("plan.unknown"));
  const required = plan.items.filter((item) => item.required);
  const optional = plan.items.filter((item) => !item.required);
  const done = required.filter((item) => item.state === "done").length;
  return h("section", { class: "plan", "aria-labelledby": "plan-title" },
    h("h4", { id: "plan-title" }, t("plan.title"), " ", h("span", { class: "plan-count" }, t("plan.count", { done, total: required.length }))),
    h("ul", { class: "checklist" }, required.map((item) => line(visit, item))),
    optional.length ? h("details", { open: isOpen(visit.id), ontoggle: (event) => toggled(visit.id, event.target.open) },
      h("summary", { "data-key": "plan-optional" }, t("plan.optional", { count: optional.length })),
      h("ul", { class: "checklist" }, optional.map((item) => line(visit, item)))) : null);
}

// Drawn anew with every change: what she has unfolded stays unfolded.
const unfolded = new Set();
const isOpen = (id) => unfolded.has(id);
const toggled = (id, open) => { if (open) unfolded.add(id); else unfolded.delete(id); };

function line(visit, item) {
  const title = item.blocks.map((block) => block.title).join(t("plan.or"));
  const forms = item.blocks.filter((block) => block.form);
  const entries = item.blocks.flatMap((block) => block.entries.map((entry) => ({ block, entry })));
  const recordings = item.blocks.flatMap((block) => block.recordings);
  return h("li", { class: `item ${item.state}` },
    h("span", { class: "mark", "aria-hidden": "true" }, { done: "✓", explained: "–", missing: "○" }[item.state]),
    h("div", { class: "item-text" },
      h("span", { class: "item-title" }, title, h("span", { class: "sr" }, ` (${t(`plan.state.${item.state}`)})`)),
      item.state === "missing" && item.blocks.length === 1 && item.blocks[0].hint ? h("span", { class: "hint" }, item.blocks[0].hint) : null,
      entries.map(({ entry }) => h("span", { class: "item-value" }, `${entry.text} · ${time(entry.at)}`,
        entry.state === "quarantined" ? ` · ${t("document.state.quarantined")}` : null,
        h("button", { type: "button", class: "plain small", "data-key": `withdraw-${entry.id}`, onclick: () => withdraw(visit, entry) }, t("plan.withdraw")))),
      recordings.length ? h("span", { class: "item-value" }, t(recordings.length > 1 ? "plan.recordings.n" : "plan.recordings.1", { count: recordings.length })) : null,
      item.reason ? h("span", { class: "item-value" }, t("plan.reason", { reason: item.reason.text })) : null),
    forms.map((block) => (block.entries.length && !block.form.repeated) ? null
      : h("button", { type: "button", "data-key": `form-${block.key}`, onclick: () => fill(visit, block),
        "aria-label": t("plan.fill.label", { title: block.title }) }, t(block.entries.length ? "plan.fill.again" : "plan.fill"))));
}

function withdraw(visit, entry) {
  const window_ = dialog(t("plan.withdraw.title"), h("p", { class: "big" }, entry.text), h("p", {}, t("plan.withdraw.text")),
    h("p", { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: async () => {
        window_.close();
        await act(() => post(`visits/${part(visit.id)}/entries/${part(entry.id)}/withdraw`), t("plan.withdrawn"));
      } }, t("plan.withdraw.go")),
      h("button", { type: "button", onclick: () => window_.close() }, t("cancel"))));
}

/** A form's fields; answers are read from the form itself. */
function fill(visit, block) {
  const { fields } = block.form;
  const problem = h("p", { class: "problem", role: "alert" });
  const confirm = h("button", { type: "button", hidden: true, onclick: () => send(true) }, t("form.confirm"));
  const form = h("form", { novalidate: true, class: "questions", onsubmit: (event) => { event.preventDefault(); send(false); } },
    fields.map((field, index) => question(field, index)), problem,
    h("p", { class: "buttons" }, h("button", { class: "primary" }, t("form.save")), confirm,
      h("button", { type: "button", onclick: () => window_.close() }, t("cancel"))));
  form.addEventListener("input", () => { confirm.hidden = true; });
  const window_ = dialog(block.title, h("p", { class: "dialog-patient" }, fullName(visit.patient)),
    block.hint ? h("p", { class: "hint" }, block.hint) : null, form);
  form.querySelector("input, textarea")?.focus();

  async function send(confirmed) {
    const values = {};
    for (const field of fields) values[field.key] = new FormData(form).get(field.key)?.toString() ?? "";
    try {
      state.plan = await post(`visits/${part(visit.id)}/entries`, { block: block.key, values, confirmed });
    } catch (error) {
      problem.textContent = error.key === "implausible" ? `${error.message} ${t("form.implausible")}` : error.message;
      confirm.hidden = error.key !== "implausible";
      if (!confirm.hidden) confirm.focus();
      return;
    }
    window_.close();
    await act(async () => {}, t("form.saved", { title: block.title }));
  }
}

function question(field, index) {
  const id = `field-${index}`;
  const label = field.optional ? t("form.optional", { label: field.label }) : field.label;
  if (field.type === "choice" || field.type === "yesNo") {
    const options = field.type === "choice" ? field.options
      : [{ value: "oui", label: t("form.yes") }, { value: "non", label: t("form.no") }];
    return h("fieldset", {}, h("legend", {}, label), h("div", { class: "options" }, options.map((option, number) =>
      h("label", { class: "option", for: `${id}-${number}` },
        h("input", { type: "radio", id: `${id}-${number}`, name: field.key, value: option.value }), h("span", {}, option.label)))));
  }
  if (field.type === "text") {
    return h("div", { class: "field" }, h("label", { for: id }, label), h("textarea", { id, name: field.key, rows: 5, maxlength: 5000 }));
  }
  return h("div", { class: "field" }, h("label", { for: id }, label),
    h("span", { class: "with-unit" }, h("input", { id, name: field.key, inputmode: "decimal", autocomplete: "off", maxlength: 9, size: 7 }),
      field.unitLabel ? h("span", {}, field.unitLabel) : null));
}

const REASONS = ["refusal", "device", "time", "elsewhere", "later"];

/** Ends the visit; what is missing is asked about first, one reason for each. */
export function closeVisit(visit) {
  const missing = (state.plan?.visit === visit.id ? state.plan.items : []).filter((item) => item.required && item.state === "missing");
  const go = (reasons) => post("visits/close", { reasons });
  if (!missing.length) return act(() => go({}), t("visits.closed", { name: fullName(visit.patient) }));
  const problem = h("p", { class: "problem", role: "alert" });
  const all = h("select", { id: "reason-all", onchange: () => {
    for (const input of inputs) if (!input.value.trim()) input.value = all.value;
  } }, h("option", { value: "" }, t("closing.all.none")), REASONS.map((key) => h("option", {}, t(`closing.reason.${key}`))));
  const inputs = missing.map((item, index) => h("input", { id: `reason-${index}`, list: "reasons", autocomplete: "off", maxlength: 300 }));
  const window_ = dialog(t("closing.title"), h("p", { class: "dialog-patient" }, fullName(visit.patient)), h("p", {}, t("closing.text")),
    h("form", {
      novalidate: true, onsubmit: async (event) => {
        event.preventDefault();
        const empty = inputs.find((input) => !input.value.trim());
        if (empty) {
          problem.textContent = t("closing.missing");
          return empty.focus();
        }
        const reasons = Object.fromEntries(missing.map((item, index) => [item.key, inputs[index].value.trim()]));
        try {
          await go(reasons);
        } catch (error) {
          problem.textContent = error.message;
          return;
        }
        window_.close();
        await act(async () => {}, t("visits.closed", { name: fullName(visit.patient) }));
      },
    },
      missing.length > 2 ? h("div", { class: "field" }, h("label", { for: "reason-all" }, t("closing.all")), all) : null,
      missing.map((item, index) => h("div", { class: "field wide" },
        h("label", { for: `reason-${index}` }, item.blocks.map((block) => block.title).join(t("plan.or"))), inputs[index])),
      h("datalist", { id: "reasons" }, REASONS.map((key) => h("option", { value: t(`closing.reason.${key}`) }))),
      problem,
      h("p", { class: "buttons" }, h("button", { class: "primary" }, t("closing.go")),
        h("button", { type: "button", onclick: () => window_.close() }, t("closing.back")))));
  inputs[0].focus();
}
