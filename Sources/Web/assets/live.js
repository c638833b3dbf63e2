// En direct: the trace of what records now. Lossy by design: the recording never waits for this page.
import { deviceTitle, recordingOf, refresh, runningDevices, state, stop, visitOf } from "./app.js";
import { follow, get, part, problemText, unpack } from "./api.js";
import { clock, decimal, dialog, fullName, h, say, show, size } from "./dom.js";
import { body, names, off } from "./electrodes.js";
import { isCalibrated, LEADS, pixelsPerMillimetre, Sweep } from "./ecg.js";
import { lasted, readings } from "./recordings.js";
import { t, tOr } from "./strings.js";

/** Milliseconds without another hole after which the sentence about the last one goes. */
const GAP_SHOWN = 10_000;

export function live(main, [wanted]) {
  const head = h("div", { class: "live-head" });
  const numbers = h("div", { class: "numbers" });
  const electrodesAt = h("div", { class: "electrodes" });
  const screen = h("div", { class: "sweep", role: "img" });
  const message = h("p", { class: "live-state", role: "status", "aria-live": "polite" });
  const gap = h("p", { class: "gap", role: "status", "aria-live": "polite" });
  const hints = h("ul", { class: "quality", "aria-live": "polite" });
  const foot = h("div", { class: "live-foot" });
  main.append(h("h1", {}, t("live.title")),
    h("div", { class: "live-top" }, electrodesAt, h("div", { class: "live-said" }, head, message, hints)), numbers, screen, gap, foot);

  let sweep = null;
  let followed = null;
  let abort = null;
  let begun = null;
  /** When the last hole was seen, milliseconds of the page's clock. */
  let gapAt = 0;
  /** Leads that lie flat, by the daemon's word. */
  let flat = new Set();

  const device = () => {
    const running = runningDevices().filter((device) => device.session.goal === "live");
    return running.find((device) => device.name === wanted) ?? running[0] ?? null;
  };

  function update() {
    const now = device();
    const key = now ? `${now.name}/${now.session.id}` : null;
    if (now && key !== followed) connect(now, key);
    const recording = now ? recordingOf(now) : null;
    show(head, [now?.name, now?.session?.id, recording?.id, recording?.visit, recording?.seconds, recording?.originalBytes], () => {
      if (!now) return begun ? [] : [h("p", { class: "big" }, t("live.none")), h("p", { class: "hint" }, t("live.none.hint"))];
      const visit = visitOf(recording);
      return [
        h("p", { class: "live-title" }, h("strong", {}, deviceTitle(now)), " ",
          now.simulated ? h("span", { class: "badge simulated" }, t("simulated")) : null, h("br"),
          // Whose it is is known with its first value.
          !recording ? "" : visit ? t("live.patient", { name: fullName(visit.patient) }) : t("live.nobody")),
        h("p", { class: "live-count" }, h("span", { class: "big" }, clock(recording?.seconds ?? 0)), h("br"),
          t("running.size", { size: size(recording?.originalBytes ?? 0) })),
        h("button", { type: "button", class: "stop huge", "data-key": "stop", onclick: () => stop(now) }, t("device.stop")),
      ];
    });
    if (!now && begun) finished();
  }

  async function connect(now, key) {
    followed = key;
    abort?.abort();
    abort = new AbortController();
    const mine = abort;
    show(numbers, "waiting", () => []);
    message.classList.remove("bad");
    show(electrodesAt, "waiting", () => []);
    gap.textContent = "";
    message.textContent = t("live.waiting");
    try {
      await follow(now.name, {
        begin: (event) => begin(event), block: (event) => block(event), end: (event) => end(event),
        quality: (event) => quality(event),
      }, mine.signal);
    } catch (problem) {
      if (mine.signal.aborted) return;
      if (problem.key && problem.key !== "device-idle") message.textContent = problem.message;
    }
    // The stream ended although the session may go on: look again, and follow again.
    if (!mine.signal.aborted) {
      followed = null;
      await refresh();
    }
  }

  function begin(event) {
    begun = event;
    flat = new Set();
    show(hints, "begin", () => []);
    sweep?.close();
    sweep = null;
    const channels = event.channels;
    screen.setAttribute("role", channels.length ? "img" : "group");
    if (!channels.length) return single();
    sweep = new Sweep(screen, channels, (kind) => {
      gapAt = performance.now();
      gap.textContent = t(kind === "missed" ? "live.gap" : "live.lost");
      gap.className = `gap ${kind}`;
    });
    const isECG = sweep.isECG;
    screen.classList.toggle("paper", isECG);
    show(foot, [isECG, isCalibrated()], () => isECG
      ? [h("span", {}, t("live.paper")), isCalibrated() ? null : h("span", { class: "hint" }, t("ruler.uncalibrated")),
        h("button", { type: "button", class: "plain", onclick: ruler }, t("ruler.open"))].filter(Boolean)
      : [h("span", {}, t("live.pleth")), h("span", { class: "hint" }, t("live.device-values"))]);
    if (isECG) screen.setAttribute("aria-label", t("live.alt.ecg", { count: channels.filter((channel) => channel.signal in LEADS).length }));
  }

  /** A scale, a thermometer: no curve, but each value as it comes.
   *  @param ended what is said of a recording that is over. */
  async function single(ended) {
    const { recording } = begun;
    screen.classList.remove("paper");
    show(foot, "single", () => [h("span", { class: "hint" }, t("live.device-values"))]);
    try {
      const more = await get(`recordings/${part(recording)}`);
      if (begun.recording !== recording || sweep) return;
      screen.replaceChildren(...(more.readings.length ? [readings(more.readings)] : []));
      message.textContent = ended ?? t(more.readings.length ? "live.measuring" : "live.waiting");
    } catch (problem) {
      message.textContent = problem.message;
    }
  }

  function block(event) {
    // A block of a recording whose beginning this page missed: begin anew.
    if (event.recording !== begun?.recording) return abort?.abort(), void (followed = null);
    if (!sweep) return void single();
    const values = event.samples.map((samples, index) => unpack(samples, begun.channels[index].scale));
    sweep.push(event.first, values, event.lost);
    // Data have come without a hole for as long as the hatched gap is on the screen: the sentence is over, the recording's note stays.
    if (gap.textContent && performance.now() - gapAt > GAP_SHOWN) gap.textContent = "";
    if (sweep.isECG) electrodes(values);
    else measurements(values);
  }

  /** The last value of a signal in a block; null when there is none. */
  const last = (values, signal) => {
    const index = begun.channels.findIndex((channel) => channel.signal === signal);
    if (index < 0) return undefined;
    const found = values[index].findLast((value) => !Number.isNaN(value));
    return found ?? null;
  };

  function measurements(values) {
    const [spo2, pulse, perfusion] = ["spo2", "pulseRate", "perfusionIndex"].map((signal) => last(values, signal));
    const number = (name, value, unit, digits, className) => value === undefined ? null
      : h("div", { class: `number ${className}` }, h("span", { class: "what" }, name),
        h("span", { class: "value" }, value === null ? "—" : decimal(value, digits)), h("span", { class: "unit" }, unit));
    show(numbers, [spo2, pulse, perfusion], () => [
      number(t("live.spo2"), spo2, t("live.unit.percent"), 0, "spo2"),
      number(t("live.pulse"), pulse, t("live.unit.minute"), 0, "pulse"),
      // Most models don't send one.
      number(t("live.pi"), perfusion ?? undefined, t("live.unit.percent"), 2, "pi"),
    ].filter(Boolean));
    const text = spo2 === null && pulse === null ? t("live.nomeasure") : t("live.measuring");
    if (message.textContent !== text) message.textContent = text;
    screen.setAttribute("aria-label", t("live.alt.oximetry", { spo2: spo2 ?? "—", pulse: pulse ?? "—" }));
  }

  /** What is technically wrong, with what to do; never what it means. */
  function quality(event) {
    if (event.recording !== begun?.recording) return;
    const name = (channel) => LEADS[begun.channels.find((one) => one.name === channel)?.signal] ?? channel;
    flat = new Set(event.hints.filter((hint) => hint.kind === "leadOff").flatMap((hint) => hint.channels)
      .map((channel) => begun.channels.find((one) => one.name === channel)?.signal));
    show(hints, event.hints.map((hint) => [hint.kind, hint.channels]), () => event.hints.map((hint) =>
      h("li", {}, t(`quality.${hint.kind}`, { channels: hint.channels.map(name).join(", ") }))));
  }

  /** Which leads give nothing: said in words, as the drawing shows it as a missing line. */
  function electrodes(values) {
    const leads = begun.channels.map((channel) => channel.signal).filter((signal) => signal in LEADS);
    const absent = begun.channels.filter((channel, index) => channel.signal in LEADS && (flat.has(channel.signal) || values[index].every(Number.isNaN)))
      .map((channel) => channel.signal);
    const sent = new Set(leads);
    show(electrodesAt, absent, () => [body(sent, new Set(absent))].filter(Boolean));
    const gone = off(sent, new Set(absent));
    const text = !absent.length ? t("live.leads-ok")
      : [t("live.lead-absent", { leads: absent.map((signal) => LEADS[signal]).join(", ") }), gone.length ? t("electrode.off", { names: names(gone) }) : null].filter(Boolean).join(" ");
    if (message.textContent !== text) message.textContent = text;
    message.classList.toggle("bad", absent.length > 0);
  }

  function end(event) {
    if (event.recording !== begun?.recording) return;
    message.textContent = t(`live.ended.${event.state === "complete" ? "complete" : "interrupted"}`);
    message.classList.toggle("bad", event.state !== "complete");
    if (!sweep) void single(message.textContent);
    // What was measured a moment ago isn't measured now.
    show(numbers, "over", () => []);
  }

  /** The session is over: the last picture stays, with what became of it. */
  function finished() {
    const recording = state.recordings.find((recording) => recording.id === begun.recording);
    if (!recording || recording.state === "open") return;
    const text = `${t(`live.ended.${recording.state}`)} ${lasted(recording)}`.trim();
    if (message.textContent !== text) message.textContent = text;
    message.classList.toggle("bad", recording.state !== "complete");
    show(numbers, "over", () => []);
    const visit = visitOf(recording);
    show(head, ["over", recording.id, recording.visit], () => [
      h("p", { class: "live-title" }, h("strong", {}, t("live.last")), h("br"),
        visit ? t("live.patient", { name: fullName(visit.patient) }) : t("live.nobody")),
      h("a", { class: "button primary", href: `#/enregistrements/${recording.id}` }, t("recordings.view"))]);
  }

  function ruler() {
    const bar = h("div", { class: "ruler" });
    const field = h("input", { id: "ruler", inputmode: "decimal", autocomplete: "off" });
    const problem = h("p", { class: "problem", role: "alert" });
    const window_ = dialog(t("ruler.title"), h("p", {}, t("ruler.text")), bar,
      h("form", {
        novalidate: true, onsubmit: (event) => {
          event.preventDefault();
          const millimetres = Number(field.value.replace(",", "."));
          if (!(millimetres >= 40 && millimetres <= 250)) {
            problem.textContent = t("ruler.bad");
            return field.focus();
          }
          localStorage.setItem("px-per-mm", bar.clientWidth / millimetres);
          window_.close();
          sweep?.resize();
          say(t("ruler.done"));
        },
      }, h("div", { class: "field" }, h("label", { for: "ruler" }, t("ruler.label")), field), problem,
        h("p", { class: "buttons" }, h("button", { class: "primary" }, t("ruler.save")),
          h("button", { type: "button", onclick: () => window_.close() }, t("cancel")))));
    bar.style.width = `${100 * pixelsPerMillimetre()}px`;
    field.focus();
  }

  return {
    update,
    close() {
      abort?.abort();
      sweep?.close();
    },
  };
}
