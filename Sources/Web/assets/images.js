// Imported images and reports: a small first picture, and what a program measured, marked as unverified.
import { get, part } from "./api.js";
import { h } from "./dom.js";
import { t } from "./strings.js";

export async function images(area, recording) {
  const view = await get(`recordings/${part(recording.id)}/images`);
  area.replaceChildren(...[
    view.preview ? h("figure", {}, h("img", { class: "preview", alt: t("images.alt"), src: `data:${view.preview.mediaType};base64,${view.preview.data}` }),
      h("figcaption", {}, t("images.caption"))) : view.measurements.length ? null : h("p", { class: "hint" }, t("images.none")),
    view.measurements.length ? measurements(view) : null,
  ].filter(Boolean));
}

function measurements({ measurements, producer }) {
  return h("section", { class: "unverified" },
    h("h2", {}, t("images.measurements")),
    h("p", { class: "refusal" }, t("images.unverified", { producer: producer.join(" ") || t("unknown") })),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("images.measurements") }, h("table", {},
      h("thead", {}, h("tr", {}, ["name", "value"].map((key) => h("th", { scope: "col" }, t(`images.column.${key}`))))),
      h("tbody", {}, measurements.map((item) => h("tr", {},
        // As the program calls it: it isn't ours to translate.
        h("th", { scope: "row", lang: "en" }, [item.name, ...item.modifiers].join(", ")),
        h("td", {}, `${item.value.replace(".", ",")} ${item.unit ?? ""}`)))))));
}
