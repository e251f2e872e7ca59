// Which instance is open stands in the address: #/INSTANCE, #/INSTANCE/step/7.

const opened = document.getElementById("opened");
const openedBody = document.getElementById("opened-body");
const pageTitle = document.title;
let trajectory = null;
let openInstance = null;
let scrollBefore = 0;

function readAddress() {
  if (!location.hash.startsWith("#/")) return null;
  let parts = location.hash.slice(2).split("/");
  try {
    parts = parts.map(decodeURIComponent);
  } catch {
    return {instance: location.hash.slice(2), step: null, part: null};
  }
  // a name may hold a slash: the longest that is known counts
  const known = parts.findLastIndex((_, last) => details.has(parts.slice(0, last + 1).join("/")));
  const instance = parts.slice(0, Math.max(known, 0) + 1).join("/");
  const [part, number] = parts.slice(Math.max(known, 0) + 1);
  const step = part === "step" && /^\d+$/.test(number || "") ? Number(number) : null;
  return {instance, step, part};
}

async function followAddress() {
  const address = readAddress();
  if (!address) return close();
  if (address.instance !== openInstance) {
    await open(address.instance);
    if (openInstance !== address.instance) return undefined; // somebody was quicker
  }
  return goTo(address);
}

function goTo({step, part}) {
  if (step !== null && trajectory) return trajectory.show(step);
  const target = {patch: "opened-patch", tests: "opened-tests", steps: "opened-steps"}[part];
  if (target) return document.getElementById(target)?.scrollIntoView({behavior: "instant"});
  scrollTo({top: 0, behavior: "instant"});
  return document.getElementById("opened-name")?.focus({preventScroll: true});
}

async function open(instance) {
  if (openInstance === null) scrollBefore = scrollY;
  openInstance = instance;
  trajectory = null;
  document.body.classList.add("is-opened");
  opened.hidden = false;
  document.title = `${instance} – ${pageTitle}`;
  linkNeighbours(instance);
  if (!details.has(instance)) return say(instance, "This run has no such instance.");
  openedBody.replaceChildren(make("p", {role: "status"}, "Loading…"));
  try {
    const parts = await load(instance);
    if (openInstance === instance) fill(instance, parts.overview, parts.steps);
  } catch (error) {
    const known = details.get(instance).parts;
    if (openInstance !== instance) return undefined;
    if (known?.overview) fill(instance, known.overview, known.steps || [], error.message);
    else say(instance, error.message);
  }
  return undefined;
}

function say(instance, words) {
  openedBody.replaceChildren(
    make("h2", {id: "opened-name", tabindex: "-1"}, instance), make("p", {class: "warning"}, words));
}

function fill(instance, overview, steps, problem = "") {
  trajectory = new Trajectory(instance, steps);
  const address = `#/${encodeURIComponent(instance)}`;
  const link = (part, words) => make("a", {href: `${address}/${part}`}, words);
  openedBody.replaceChildren(
    headOf(overview),
    problem ? make("p", {class: "warning"}, problem) : "",
    make("nav", {class: "parts", "aria-label": "Parts of this instance"},
      link("patch", "Patch"), link("tests", "Tests"), link("steps", "Trajectory")),
    attemptsOf(overview) || "", patchesOf(overview), testsOf(overview), trajectory.element);
}

/** Links to the instances before and after it, as the table is sorted and filtered. */
function linkNeighbours(instance) {
  const order = instancesInOrder();
  const place = order.indexOf(instance);
  for (const [id, neighbour] of [["opened-before", order[place - 1]], ["opened-next", order[place + 1]]]) {
    const link = document.getElementById(id);
    link.hidden = place < 0 || neighbour === undefined;
    if (!link.hidden) link.setAttribute("href", `#/${encodeURIComponent(neighbour)}`);
  }
}

function close() {
  if (openInstance === null) return;
  const row = rowOf(openInstance);
  openInstance = trajectory = null;
  document.body.classList.remove("is-opened");
  opened.hidden = true;
  openedBody.replaceChildren();
  document.title = pageTitle;
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (target && target.id !== "instances") target.scrollIntoView({behavior: "instant"});
  else scrollTo({top: scrollBefore, behavior: "instant"});
  row?.querySelector("a").focus({preventScroll: scrollBefore > 0});
}

const KEYS = {
  j: () => trajectory.move(1),
  ArrowRight: () => trajectory.move(1),
  k: () => trajectory.move(-1),
  ArrowLeft: () => trajectory.move(-1),
  Home: () => trajectory.toEnd(false),
  End: () => trajectory.toEnd(true),
  "/": () => trajectory.search?.focus(),
};

function onKey(event) {
  if (openInstance === null || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return onEscape(event);
  const isTyping = event.target.closest("input, textarea, select");
  if (event.target === trajectory?.search && event.key === "Enter") return toFirstFound();
  const scrollsItself = event.key.startsWith("Arrow") && event.target.closest(".scrolls");
  if (isTyping || scrollsItself || !trajectory?.steps.length || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
}

function toFirstFound() {
  trajectory.filter();
  trajectory.toEnd(false);
}

function onEscape(event) {
  if (trajectory?.search?.value) trajectory.clear();
  else if (event.target.closest("input")) event.target.blur();
  else location.hash = "#instances";
}

addEventListener("hashchange", followAddress);
document.addEventListener("keydown", onKey);
