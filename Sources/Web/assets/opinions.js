// Avis: what the cardiologist answers, with its recordings, and questions that wait for words.
import { act, openVisit, refresh, state } from "./app.js";
import { part, post } from "./api.js";
import { bornOn, day, fullName, h, moment, show } from "./dom.js";
import { kind } from "./recordings.js";
import { t, tOr } from "./strings.js";

export const unseen = () => state.opinions.filter((opinion) => !opinion.isSeen);

/** Questions that nobody has answered. */
export const isWaiting = (opinion) => opinion.kind === "question" && !opinion.reply;

export function opinions(main) {
  const todo = h("section", {});
  const list = h("section", {});
  main.append(h("h1", {}, t("opinions.title")), todo, list);

  function update() {
    // A text that is being written must not go when something else changes.
    const facts = [state.opinions, openVisit()?.patient.family, state.recordings.map((recording) => recording.id)];
    if (todo.contains(document.activeElement) && document.activeElement.tagName === "TEXTAREA") return;
    const waiting = state.opinions.filter(isWaiting);
    const others = state.opinions.filter((opinion) => !isWaiting(opinion));
    show(todo, [facts, "todo"], () => waiting.length
      ? [h("h2", {}, t("opinions.questions")), h("div", { class: "cards" }, waiting.map(card))] : []);
    show(list, [facts, "list"], () => [
      waiting.length ? h("h2", {}, t("opinions.others")) : null,
      others.length ? h("div", { class: "cards" }, others.map(card))
        : h("p", { class: "hint" }, t(waiting.length ? "opinions.none.others" : "opinions.none"))].filter(Boolean));
  }
  return { update };
}

function card(opinion) {
  const { patient } = opinion;
  const about = opinion.recordings.map((id) => state.recordings.find((recording) => recording.id === id)).filter(Boolean);
  const name = `opinion-${opinion.id}`;
  return h("article", { class: `card opinion ${opinion.kind} ${opinion.isSeen ? "" : "new"}`, "aria-labelledby": name },
    h("p", { class: "when" },
      opinion.isSeen ? null : h("span", { class: "badge news" }, t("opinions.new")),
      opinion.isUrgent ? h("span", { class: "badge urgent" }, t("opinions.urgent")) : null,
      ["corrected", "amended", "entered-in-error"].includes(opinion.status) ? h("span", { class: "badge urgent" }, t(`opinions.status.${opinion.status}`)) : null),
    h("h3", { id: name, class: "name" }, patient ? [h("strong", {}, patient.family), ` ${patient.given.join(" ")}`] : t("opinions.nobody")),
    patient ? h("p", { class: "traits" }, bornOn(patient)) : null,
    openVisit() && patient && opinion.visit !== openVisit().id && fullName(openVisit().patient) !== fullName(patient)
      ? h("p", { class: "refusal" }, t("opinions.other-patient")) : null,
    h("p", { class: "hint" }, [tOr(`opinions.kind.${opinion.kind}`, opinion.kind), opinion.author, opinion.issued ? moment(opinion.issued) : t("opinions.arrived", { date: moment(opinion.arrived) })].filter(Boolean).join(" · ")),
    opinion.title ? h("p", { class: "opinion-title" }, opinion.title) : null,
    // As the cardiologist wrote it: never typeset anew.
    h("p", { class: "opinion-text" }, opinion.text ?? t("opinions.notext")),
    about.length ? h("p", {}, `${t("opinions.about")} `, about.flatMap((recording, index) => [index ? ", " : "",
      h("a", { href: `#/enregistrements/${recording.id}` }, `${kind(recording)}, ${moment(recording.start)}`)])) : null,
    opinion.reply ? h("div", { class: "reply" }, h("p", { class: "hint" }, t("opinions.replied", { by: opinion.reply.by, date: moment(opinion.reply.at) })),
      h("p", { class: "opinion-text" }, opinion.reply.text),
      h("p", { class: "hint" }, t(opinion.reply.isSent ? "opinions.reply.sent" : "opinions.reply.waiting"))) : null,
    isWaiting(opinion) ? answer(opinion) : null,
    opinion.isSeen || isWaiting(opinion) ? null : h("p", { class: "buttons" }, h("button", {
      type: "button", class: "primary", "data-key": `seen-${opinion.id}`,
      onclick: () => act(() => post(`opinions/${part(opinion.id)}/seen`), t("opinions.seen.done")),
    }, t("opinions.seen"))));
}

/** What is being written survives that something else changes. */
const drafts = new Map();

function answer(opinion) {
  const id = `reply-${opinion.id.replace(/\W/g, "-")}`;
  const text = h("textarea", { id, rows: 3, maxlength: 3000, oninput: (event) => drafts.set(opinion.id, event.target.value) });
  text.value = drafts.get(opinion.id) ?? "";
  const problem = h("p", { class: "problem", role: "alert" });
  return h("form", {
    novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      if (!text.value.trim()) {
        problem.textContent = t("opinions.reply.empty");
        return text.focus();
      }
      try {
        await post(`opinions/${part(opinion.id)}/reply`, { text: text.value.trim() });
      } catch (error) {
        problem.textContent = error.message;
        return;
      }
      drafts.delete(opinion.id);
      text.blur();
      await act(refresh, t("opinions.reply.done"));
    },
  }, h("div", { class: "field wide" }, h("label", { for: id }, t("opinions.reply.label")), text), problem,
    h("p", { class: "buttons" }, h("button", { class: "primary" }, t("opinions.reply.send"))));
}

/** The PPS's next steps and what was last said, for the open visit's card. */
export function background(visit) {
  const plan = state.carePlan;
  const last = state.opinions.filter((opinion) => opinion.visit === visit.id || opinion.patient?.ins && opinion.patient.ins === visit.patient.ins).slice(0, 2);
  const steps = (plan?.steps ?? []).filter((step) => !["completed", "cancelled", "stopped"].includes(step.status)).slice(0, 5);
  if (!last.length && !steps.length) return null;
  return h("section", { class: "background" },
    steps.length ? [h("h4", {}, plan.title ? t("careplan.title.named", { title: plan.title }) : t("careplan.title")),
      h("ul", { class: "steps" }, steps.map((step) => h("li", {}, step.text, step.due ? h("span", { class: "hint" }, ` · ${t("careplan.due", { date: due(step.due) })}`) : null)))] : null,
    last.length ? [h("h4", {}, t("opinions.last")), last.map((opinion) => h("p", { class: "opinion-line" },
      opinion.isSeen ? null : h("span", { class: "badge news" }, t("opinions.new")), ` ${(opinion.text ?? "").slice(0, 160)} `,
      h("a", { href: "#/avis", "data-key": `see-${opinion.id}` }, t("opinions.see"))))] : null);
}

const due = (text) => /^\d{4}-\d\d-\d\d/.test(text) ? day(text) : text;
