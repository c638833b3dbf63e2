// Drawing: ECG paper as vectors (screen and print), trends, and the moving trace. What was recorded is drawn: no filter;
// a trace is only moved up or down so that its middle lies in its row.
import { svg } from "./dom.js";

/** French names of the leads, in the order of the paper. */
export const LEADS = {
  ecgI: "DI", ecgII: "DII", ecgIII: "DIII", ecgAVR: "aVR", ecgAVL: "aVL", ecgAVF: "aVF",
  ecgV1: "V1", ecgV2: "V2", ecgV3: "V3", ecgV4: "V4", ecgV5: "V5", ecgV6: "V6",
};

/** Columns of 2.5 s as on every ECG paper, then the rhythm strip. */
const COLUMNS = [["ecgI", "ecgII", "ecgIII"], ["ecgAVR", "ecgAVL", "ecgAVF"], ["ecgV1", "ecgV2", "ecgV3"], ["ecgV4", "ecgV5", "ecgV6"]];
const RHYTHM = "ecgII";

const MILLIVOLTS = { uV: 1e-3, mV: 1, nV: 1e-6, V: 1e3 };

/** Limb leads that follow from DI and DII, for devices that send eight channels. Millivolts in, millivolts out. */
export function withDerived(leads) {
  const { ecgI: one, ecgII: two } = leads;
  if (!one || !two) return leads;
  const of = (formula) => ({ rate: one.rate, values: one.values.map((value, index) => formula(value, two.values[index])) });
  return {
    ...leads,
    ecgIII: leads.ecgIII ?? of((i, ii) => ii - i),
    ecgAVR: leads.ecgAVR ?? of((i, ii) => -(i + ii) / 2),
    ecgAVL: leads.ecgAVL ?? of((i, ii) => i - ii / 2),
    ecgAVF: leads.ecgAVF ?? of((i, ii) => ii - i / 2),
  };
}

/** One factor for every channel of a trace that is a lead, by signal. */
export function millivolts(channel) { return MILLIVOLTS[channel.unit] ?? 1; }

/** Whether anybody knows how many millivolts a step of its device is. */
export function isVoltage(channel) { return channel.unit in MILLIVOLTS; }

function middle(values) {
  const present = values.filter((value) => !Number.isNaN(value)).sort();
  return present.length ? present[present.length >> 1] : 0;
}

/** A path in millimetres; breaks where there is no value. */
function path(values, rate, x, y, perSecond, perUnit, offset) {
  let text = "";
  let pen = false;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (Number.isNaN(value)) {
      pen = false;
      continue;
    }
    text += `${pen ? "L" : "M"}${(x + (index / rate) * perSecond).toFixed(2)} ${(y - (value - offset) * perUnit).toFixed(2)}`;
    pen = true;
  }
  return text;
}

let patterns = 0;

function grid(width, height) {
  const id = `grid-${++patterns}`;
  const lines = (step, className) => svg("path", { d: `M${step} 0H0V${step}`, class: className });
  const pattern = (name, step, ...children) =>
    svg("pattern", { id: name, width: step, height: step, patternUnits: "userSpaceOnUse" }, ...children);
  return [
    svg("defs", {},
      pattern(`${id}-1`, 1, lines(1, "grid-1")),
      pattern(`${id}-5`, 5, svg("rect", { width: 5, height: 5, fill: `url(#${id}-1)` }), lines(5, "grid-5"))),
    svg("rect", { width, height, class: "paper" }),
    svg("rect", { width, height, fill: `url(#${id}-5)` }),
  ];
}

/**
 * ECG paper, 3x4 and a rhythm strip, as an SVG whose units are millimetres.
 * `leads`: by signal, { rate, values in mV }, from the stretch's beginning; `options`: speed mm/s, gain mm/mV, label, footer; `hasScale`: false where
 * nobody knows what a step of the device is: then no mark says what a millivolt is.
 */
export function paper(leads, { speed = 25, gain = 10, label, footer, hasScale = true }) {
  const left = 12;
  const column = 2.5 * speed;
  const row = gain > 10 ? 45 : 30;
  const width = left + 4 * column + 3;
  const height = 4 * row + 8;
  const drawing = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, class: "ecg", role: "img", "aria-label": label,
    "data-width": width, "data-height": height,
  }, ...grid(width, height));
  const strip = (signal, x, y, from, seconds) => {
    const lead = leads[signal];
    drawing.append(svg("text", { x: x + 1, y: y - row / 2 + 4.5, class: "lead" }, LEADS[signal]));
    const values = lead?.values.slice(Math.floor(from * lead.rate), Math.ceil((from + seconds) * lead.rate)) ?? [];
    if (!values.length || values.every(Number.isNaN)) {
      drawing.append(svg("path", { d: `M${x + 2} ${y}h${seconds * speed - 4}`, class: "absent" }));
    } else {
      drawing.append(svg("path", { d: path(values, lead.rate, x, y, speed, gain, middle(values)), class: "trace" }));
    }
  };
  for (let index = 0; index < 4; index++) {
    const y = row * (index + 0.5) + 1;
    // 1 mV for 200 ms: what the paper's scale is.
    if (hasScale) drawing.append(svg("path", { d: `M2 ${y}h1v${-gain}h${0.2 * speed}v${gain}h1`, class: "trace" }));
    if (index === 3) strip(RHYTHM, left, y, 0, 10);
    else COLUMNS.forEach((signals, number) => strip(signals[index], left + number * column, y, number * 2.5, 2.5));
    if (index < 3) for (let number = 1; number < 4; number++) {
      drawing.append(svg("path", { d: `M${left + number * column} ${y - 4}v8`, class: "mark" }));
    }
  }
  drawing.append(svg("text", { x: 2, y: height - 2.2, class: "footer" }, footer));
  return drawing;
}

/**
 * A value over hours as an SVG: per column its smallest and largest (`envelope`: min, max, min, max …; NaN is nothing).
 * `from`, `to`: the axis; `hours`: texts under the axis as [place 0…1, text].
 */
export function trend(envelope, { from, to, step, ticks, label, className }) {
  const [width, height, left, bottom] = [1000, 170, 44, 22];
  const columns = envelope.length / 2;
  const x = (place) => left + place * (width - left - 8);
  const y = (value) => 8 + (to - Math.min(Math.max(value, from), to)) / (to - from) * (height - bottom - 8);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: `trend ${className}`, role: "img", "aria-label": label });
  for (let value = from; value <= to; value += step) {
    drawing.append(svg("path", { d: `M${left} ${y(value)}H${width - 8}`, class: "axis" }),
      svg("text", { x: left - 6, y: y(value) + 5, class: "tick end" }, String(value)));
  }
  for (const [place, text] of ticks) {
    drawing.append(svg("path", { d: `M${x(place)} 8V${height - bottom}`, class: "axis" }),
      svg("text", { x: x(place), y: height - 5, class: place > 0.97 ? "tick end" : "tick middle" }, text));
  }
  let band = "";
  let line = "";
  let pen = false;
  for (let column = 0; column < columns; column++) {
    const [low, high] = [envelope[2 * column], envelope[2 * column + 1]];
    if (Number.isNaN(low)) {
      pen = false;
      continue;
    }
    const place = x((column + 0.5) / columns).toFixed(1);
    if (high > low) band += `M${place} ${y(low).toFixed(1)}V${y(high).toFixed(1)}`;
    line += `${pen ? "L" : "M"}${place} ${y((low + high) / 2).toFixed(1)}`;
    pen = true;
  }
  drawing.append(svg("path", { d: band, class: "band" }), svg("path", { d: line, class: "line" }));
  return drawing;
}

/** Stretches on a time axis: `places` as [begin 0…1, length 0…1]. */
export function marks(places, { ticks, label }) {
  const [width, height, left, bottom] = [1000, 52, 44, 22];
  const x = (place) => left + place * (width - left - 8);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "trend marks", role: "img", "aria-label": label },
    svg("path", { d: `M${left} ${height - bottom}H${width - 8}`, class: "axis" }),
    ...places.map(([begin, length]) => svg("rect", { x: x(begin), y: 6, width: Math.max(2, length * (width - left - 8)), height: height - bottom - 6, class: "event" })),
    ...ticks.map(([place, text]) => svg("text", { x: x(place), y: height - 5, class: place > 0.97 ? "tick end" : "tick middle" }, text)));
}

// The moving trace.

/** Pixels per millimetre: by a ruler if somebody has used one, else as CSS supposes. */
export function pixelsPerMillimetre() {
  const stored = Number(localStorage.getItem("px-per-mm"));
  return stored > 1 && stored < 20 ? stored : 96 / 25.4;
}

export const isCalibrated = () => localStorage.getItem("px-per-mm") !== null;

/** Seconds of samples that are kept for drawing again, after a change of size or a hidden tab. */
const MEMORY = 30;

/**
 * A sweeping trace like a monitor's, on a canvas of its own above a canvas with the paper. Samples come in blocks; the
 * drawing runs a little behind them at their own speed. What was never delivered to the page is hatched.
 */
export class Sweep {
  /**
   * @param host an element with a width.
   * @param channels as the live event describes them.
   * @param onGap called with "missed" (the page came too late) or "lost" (the device did not send it).
   */
  constructor(host, channels, onGap = () => {}) {
    this.host = host;
    this.onGap = onGap;
    this.isECG = channels.some((channel) => channel.signal in LEADS);
    this.tracks = channels.map((channel) => ({
      channel, rate: channel.rate, ring: new Float32Array(Math.ceil(channel.rate * MEMORY)).fill(NaN), next: null,
      offset: null,
    }));
    this.gaps = [];
    this.head = null;
    this.play = null;
    this.speed = 1;
    this.back = document.createElement("canvas");
    this.front = document.createElement("canvas");
    for (const canvas of [this.back, this.front]) canvas.setAttribute("aria-hidden", "true");
    host.replaceChildren(this.back, this.front);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
    // For support and tests: seconds between frames, and milliseconds from a frame's beginning to its last line.
    this.frames = [];
    this.costs = [];
    const frame = (now) => {
      this.frame(now);
      this.request = requestAnimationFrame(frame);
    };
    this.request = requestAnimationFrame(frame);
  }

  close() {
    cancelAnimationFrame(this.request);
    this.observer.disconnect();
  }

  /** Takes a block: `first` per channel, `values` per channel in physical units. */
  push(first, values, lost) {
    const reference = this.reference();
    const start = first[reference] / this.tracks[reference].rate;
    if (this.head !== null && start > this.head + 0.001) {
      this.gaps.push({ from: this.head, to: start });
      this.onGap("missed");
    } else if (lost && this.head !== null) this.onGap("lost");
    this.gaps = this.gaps.filter((gap) => gap.to > start - MEMORY);
    this.tracks.forEach((track, index) => {
      const missing = track.next === null ? 0 : Math.min(first[index] - track.next, track.ring.length);
      for (let back = missing; back > 0; back--) track.ring[(first[index] - back) % track.ring.length] = NaN;
      values[index].forEach((value, place) => { track.ring[(first[index] + place) % track.ring.length] = value; });
      track.next = first[index] + values[index].length;
    });
    if (this.isECG) this.place();
    const remaining = this.head === null ? null : this.head - this.play;
    this.head = this.tracks[reference].next / this.tracks[reference].rate;
    if (this.play === null) {
      this.play = start;
      // Drawn to here; and a moment's patience, so that the next block comes before this one is drawn.
      this.drawn = start;
      this.pause = 0.25;
    } else if (remaining !== null) {
      this.speed = remaining < 0.1 ? 0.96 : remaining > 0.6 ? 1.06 : 1;
    }
  }

  /** Puts each lead's middle into its row. The same shift for everything that is on the screen, so that no shape is bent: it
   *  changes only when the trace has drifted out of reach, and then all is drawn again. */
  place() {
    let isMoved = false;
    for (const track of this.tracks) {
      const end = track.next;
      const count = Math.min(Math.floor(2 * track.rate), end, track.ring.length);
      if (track.offset !== null && end < track.looked + track.rate) continue;
      track.looked = end;
      const values = Float32Array.from({ length: count }, (_, back) => track.ring[(end - 1 - back) % track.ring.length]);
      const now = middle(values);
      const reach = 0.7 / millivolts(track.channel);
      const isFirst = track.offset === null || count < 2 * track.rate;
      if (isFirst ? track.offset !== now : Math.abs(now - track.offset) > reach) {
        track.offset = now;
        isMoved = true;
      }
    }
    if (isMoved && this.play !== null) this.again();
  }

  /** Draws everything that a row can show once more. */
  again() { this.drawn = this.play - Math.max(...this.strips.map((strip) => strip.seconds)) * 0.97; }

  reference() { return this.tracks.reduce((best, track, index) => track.rate > this.tracks[best].rate ? index : best, 0); }

  resize() {
    const width = this.host.clientWidth;
    if (!width) return;
    const millimetre = pixelsPerMillimetre();
    this.strips = [];
    let height;
    if (this.isECG) {
      const row = Math.round(26 * millimetre);
      // Room for the mark that says what a millivolt is.
      const margin = Math.round(9 * millimetre);
      const column = Math.floor((width - margin) / 4);
      this.marks = [0, 1, 2, 3].map((line) => line * row + row / 2);
      height = 4 * row;
      const seconds = column / millimetre / 25;
      const add = (signal, x, y, w, span) => {
        const track = this.tracks.find((track) => track.channel.signal === signal);
        if (track) this.strips.push({ track, name: LEADS[signal], x, y, w, h: row, seconds: span,
          perUnit: -10 * millimetre * millivolts(track.channel), zero: y + row / 2 });
      };
      COLUMNS.forEach((signals, number) => signals.forEach((signal, line) => add(signal, margin + number * column, line * row, column, seconds)));
      add(RHYTHM, margin, 3 * row, column * 4, seconds * 4);
    } else {
      height = 220;
      const track = this.tracks.find((track) => track.channel.signal === "plethysmogram");
      if (track) {
        const { minimum, maximum } = track.channel;
        this.strips.push({ track, name: "", x: 0, y: 0, w: width, h: height, seconds: 10,
          perUnit: -(height - 30) / (maximum - minimum || 1), zero: height - 15 + (height - 30) * minimum / (maximum - minimum || 1) });
      }
    }
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.back, this.front]) {
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    this.host.style.height = `${height}px`;
    this.ink = this.front.getContext("2d");
    this.ink.scale(ratio, ratio);
    this.width = width;
    this.height = height;
    this.drawPaper(this.back.getContext("2d"), ratio, millimetre);
    if (this.play !== null) this.again();
  }

  drawPaper(ink, ratio, millimetre) {
    ink.scale(ratio, ratio);
    ink.fillStyle = "#fff";
    ink.fillRect(0, 0, this.width, this.height);
    const lines = (step, style, width) => {
      ink.strokeStyle = style;
      ink.lineWidth = width;
      ink.beginPath();
      for (let x = 0; x <= this.width; x += step) {
        ink.moveTo(x, 0);
        ink.lineTo(x, this.height);
      }
      for (let y = 0; y <= this.height; y += step) {
        ink.moveTo(0, y);
        ink.lineTo(this.width, y);
      }
      ink.stroke();
    };
    if (this.isECG) {
      lines(millimetre, "#f7d7d7", 0.6);
      lines(5 * millimetre, "#e8a5a5", 0.9);
    } else {
      // No millimetres here: a plethysmogram has no unit. One line per second.
      lines(this.width / 10, "#dbe5ea", 1);
    }
    // 1 mV for 200 ms, as on every ECG paper.
    if (this.isECG) {
      ink.strokeStyle = "#111";
      ink.lineWidth = 1.4;
      for (const y of this.marks) {
        ink.beginPath();
        ink.moveTo(millimetre, y);
        for (const [x, up] of [[2, 0], [2, 10], [7, 10], [7, 0], [8, 0]]) ink.lineTo(x * millimetre, y - up * millimetre);
        ink.stroke();
      }
    }
    ink.fillStyle = "#1b2a33";
    ink.font = "bold 15px system-ui, sans-serif";
    for (const strip of this.strips) ink.fillText(strip.name, strip.x + 6, strip.y + 18);
  }

  frame(now) {
    const seconds = this.last === undefined ? 0 : (now - this.last) / 1000;
    this.last = now;
    this.frames.push(seconds);
    if (this.frames.length > 4000) this.frames.splice(0, 2000);
    if (this.play === null || !this.strips?.length) return;
    if (this.pause > 0) {
      this.pause -= seconds;
      return;
    }
    // After a hidden tab the drawing is far behind: it goes on near the newest sample, and the rest is drawn from memory.
    if (this.head - this.play > 5) this.play = this.head - 1;
    this.play = Math.min(this.play + seconds * this.speed, this.head);
    if (this.play > this.drawn) this.draw(this.drawn, this.play);
    this.drawn = this.play;
    this.costs.push(performance.now() - now);
    if (this.costs.length > 4000) this.costs.splice(0, 2000);
  }

  draw(from, to) {
    const ink = this.ink;
    for (const strip of this.strips) {
      const start = Math.max(from, to - strip.seconds * 0.97, 0);
      const at = (time) => strip.x + (time / strip.seconds - Math.floor(time / strip.seconds)) * strip.w;
      this.clear(strip, at(start) + 1, (to - start) / strip.seconds * strip.w + strip.w * 0.03);
      for (const gap of this.gaps) {
        const [begin, end] = [Math.max(gap.from, start), Math.min(gap.to, to)];
        if (end > begin) this.hatch(strip, at(begin), (end - begin) / strip.seconds * strip.w);
      }
      const { rate, ring, next } = strip.track;
      const first = Math.max(Math.floor(start * rate) - 1, next - ring.length, 0);
      const last = Math.min(Math.floor(to * rate), next);
      const offset = strip.track.offset ?? 0;
      ink.strokeStyle = this.isECG ? "#111" : "#0b4f6c";
      ink.lineWidth = this.isECG ? 1.2 : 2.2;
      ink.lineJoin = "round";
      ink.beginPath();
      let pen = false;
      let before = 0;
      for (let index = first; index < last; index++) {
        const value = ring[index % ring.length];
        const x = at(index / rate);
        if (Number.isNaN(value)) pen = false;
        else {
          const y = Math.min(Math.max(strip.zero + (value - offset) * strip.perUnit, strip.y + 2), strip.y + strip.h - 2);
          if (pen && x >= before) ink.lineTo(x, y);
          else ink.moveTo(x, y);
          pen = true;
        }
        before = x;
      }
      ink.stroke();
    }
  }

  /** Calls `part` for a stretch, in two pieces when it goes over the strip's end. */
  pieces(strip, x, width, part) {
    const room = strip.x + strip.w - x;
    part(x, Math.min(width, room));
    if (width > room) part(strip.x, Math.min(width - room, strip.w));
  }

  clear(strip, x, width) {
    this.pieces(strip, x, width, (x, width) => this.ink.clearRect(x, strip.y, width, strip.h));
  }

  hatch(strip, x, width) {
    const ink = this.ink;
    this.pieces(strip, x, width, (x, width) => {
      ink.save();
      ink.beginPath();
      ink.rect(x, strip.y, width, strip.h);
      ink.clip();
      ink.strokeStyle = "#8a5a00";
      ink.lineWidth = 1.5;
      ink.beginPath();
      for (let line = Math.floor((x - strip.h) / 9) * 9; line < x + width; line += 9) {
        ink.moveTo(line, strip.y + strip.h);
        ink.lineTo(line + strip.h, strip.y);
      }
      ink.stroke();
      ink.restore();
    });
  }
}
