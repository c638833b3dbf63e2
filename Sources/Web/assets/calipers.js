// Calipers on a finished ECG: two corners, by pointer or by keyboard; milliseconds and millivolts between them. They measure
// the drawing and judge nothing.
import { decimal, svg } from "./dom.js";
import { t } from "./strings.js";

/**
 * Puts calipers on a drawing whose units are millimetres.
 * `scale`: { speed mm/s, gain mm/mV }; `tell` gets the measured distance as a text. Returns a function that takes them off.
 */
export function calipers(drawing, scale, tell) {
  const { width, height } = drawing.viewBox.baseVal;
  const layer = svg("g", { class: "calipers" });
  drawing.append(layer);
  drawing.setAttribute("tabindex", "0");
  drawing.classList.add("measuring");
  const points = [{ x: width / 2 - 10, y: height / 2 - 5 }, { x: width / 2 + 10, y: height / 2 + 5 }];
  let moving = 1;
  let isDown = false;
  const clamp = (value, limit) => Math.min(Math.max(value, 0), limit);

  function draw() {
    const [a, b] = points;
    layer.replaceChildren(
      svg("rect", { x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), width: Math.abs(b.x - a.x), height: Math.abs(b.y - a.y) }),
      ...points.map(({ x }) => svg("path", { d: `M${x} 0V${height}` })),
      ...points.map(({ y }) => svg("path", { class: "level", d: `M${Math.min(a.x, b.x) - 4} ${y}H${Math.max(a.x, b.x) + 4}` })),
      svg("circle", { cx: points[moving].x, cy: points[moving].y, r: 1.4 }));
    tell(t("calipers.value", {
      time: decimal(Math.abs(b.x - a.x) / scale.speed * 1000, 0), voltage: decimal(Math.abs(b.y - a.y) / scale.gain, 2),
    }));
  }

  const place = (event) => {
    const matrix = drawing.getScreenCTM();
    if (!matrix) return points[moving];
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    return { x: clamp(point.x, width), y: clamp(point.y, height) };
  };
  const listeners = {
    pointerdown(event) {
      isDown = true;
      moving = 1;
      points[0] = place(event);
      points[1] = { ...points[0] };
      drawing.setPointerCapture(event.pointerId);
      event.preventDefault();
      drawing.focus({ preventScroll: true });
      draw();
    },
    pointermove(event) {
      if (!isDown) return;
      points[1] = place(event);
      draw();
    },
    pointerup() { isDown = false; },
    keydown(event) {
      const step = event.shiftKey ? 5 : 0.5;
      const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
      if (event.key === " ") moving = 1 - moving;
      else if (!dx && !dy) return;
      event.preventDefault();
      points[moving] = { x: clamp(points[moving].x + dx * step, width), y: clamp(points[moving].y + dy * step, height) };
      draw();
    },
  };
  for (const [name, listener] of Object.entries(listeners)) drawing.addEventListener(name, listener);
  draw();
  return () => {
    layer.remove();
    drawing.removeAttribute("tabindex");
    drawing.classList.remove("measuring");
    for (const [name, listener] of Object.entries(listeners)) drawing.removeEventListener(name, listener);
  };
}
