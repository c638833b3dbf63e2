// Which electrodes give nothing, inferred from the leads that are absent, on a drawing of the body. Technical only.
import { svg } from "./dom.js";
import { LEADS } from "./ecg.js";
import { t } from "./strings.js";

// Places on the drawing as one stands in front of the patient: the right arm is on the left.
const PLACES = {
  RA: { x: 14, y: 40, colour: "#c4161c", mark: "R" }, LA: { x: 126, y: 40, colour: "#e8b500", mark: "J" },
  RL: { x: 48, y: 134, colour: "#1b1b1b", mark: "N" }, LL: { x: 92, y: 134, colour: "#0a7a3b", mark: "V" },
  V1: { x: 60, y: 58 }, V2: { x: 77, y: 58 }, V3: { x: 82, y: 69 }, V4: { x: 88, y: 80 }, V5: { x: 102, y: 82 }, V6: { x: 115, y: 80 },
};
const PRECORDIAL = ["V1", "V2", "V3", "V4", "V5", "V6"];

/**
 * Names of the electrodes that must be off, or may be, for these leads to be absent.
 * `sent`: signals that the device sends at all; `absent`: those of them without a value.
 */
export function off(sent, absent) {
  const known = (signal) => sent.has(signal);
  const none = (signal) => absent.has(signal);
  const [one, two] = [none("ecgI"), none("ecgII")];
  const three = known("ecgIII") ? none("ecgIII") : one || two;
  const chest = PRECORDIAL.filter((name) => known(`ecg${name}`));
  const chestOff = chest.filter((name) => none(`ecg${name}`));
  const limbs = [];
  if (known("ecgI") && known("ecgII")) {
    // DI is between the arms, DII between the right arm and the leg, DIII between the left arm and the leg.
    if (one && two && three && known("ecgIII")) limbs.push("RA", "LA", "LL", "RL");
    else if (one && two) limbs.push("RA");
    else if (one) limbs.push("LA");
    else if (two) limbs.push("LL");
  }
  // Without a limb electrode there is no reference for the chest: those are not to blame then.
  return limbs.length && chestOff.length === chest.length ? limbs : [...limbs, ...chestOff];
}

/** `null` when there is nothing to say of this recording: fewer than two leads. */
export function body(sent, absent) {
  if (![...sent].some((signal) => signal in LEADS)) return null;
  const gone = new Set(off(sent, absent));
  const shown = Object.keys(PLACES).filter((name) => !name.startsWith("V") || sent.has(`ecg${name}`));
  const label = gone.size ? t("electrode.off", { names: names([...gone]) }) : t("electrode.ok");
  return svg("svg", { viewBox: "0 0 140 148", class: "body", role: "img", "aria-label": label },
    svg("path", { class: "outline", d: "M70 4a13 14 0 0 1 6 27l1 6 22 7q10 3 14 14l12 34M70 4a13 14 0 0 0-6 27l-1 6-22 7q-10 3-14 14l-12 34M44 60l3 40-7 44M96 60l-3 40 7 44M70 112v32" }),
    ...shown.map((name) => {
      const { x, y, colour = "#0b4f6c", mark = name } = PLACES[name];
      const radius = name.startsWith("V") ? 6.5 : 9;
      return gone.has(name)
        ? svg("g", { class: "electrode-off", "data-electrode": name }, svg("circle", { cx: x, cy: y, r: radius + 1.5 }),
          svg("path", { d: `M${x - 4} ${y - 4}l8 8m0-8l-8 8` }))
        : svg("g", { class: "electrode", "data-electrode": name }, svg("circle", { cx: x, cy: y, r: radius, fill: colour }),
          svg("text", { x, y: y + 2.4, class: name === "LA" ? "dark" : "" }, mark));
    }));
}

export const names = (list) => list.map((name) => t(`electrode.${name}`)).join(", ");
