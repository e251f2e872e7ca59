// Elements of text alone: whatever a model or a patch holds is never taken for HTML.

/** make("p", {class: "how"}, "text", another): an element; attributes of null are left out. Children
    may be in lists, of any length: a call takes no more than some ten thousands by themselves. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== "") element.append(child);
  return element;
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** 950, 12.3 k, 4.56 M: as the rest of the report writes amounts. */
function compact(count) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (count >= 0.9995 * size) return `${Number((count / size).toPrecision(3))} ${unit}`;
  }
  return String(Math.round(count));
}

function duration(seconds) {
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole / 60) % 60).padStart(2, "0")} min`;
}

const HEAD_LINES = 16;
const HEAD_CHARS = 3000;

/** The first lines of a text, and where that is not all a button that shows the rest. */
function foldable(text, attributes) {
  const head = text.split("\n", HEAD_LINES + 1).slice(0, HEAD_LINES).join("\n").slice(0, HEAD_CHARS);
  const body = make("pre", attributes, head);
  if (head.length >= text.trimEnd().length) return make("div", {}, body);
  const lines = text.trimEnd().split("\n").length;
  const more = lines > HEAD_LINES ? plural(lines, "line") : plural(text.length, "character");
  const box = make("div", {class: "folded"}, body);
  const unfold = () => {
    body.textContent = text;
    box.classList.remove("folded");
    button.remove();
  };
  const button = make("button", {type: "button", class: "more", click: () => {
    unfold();
    body.tabIndex = -1;
    body.focus({preventScroll: true});
  }}, `Show all ${more}`);
  box.unfold = unfold;
  box.append(button);
  return box;
}
