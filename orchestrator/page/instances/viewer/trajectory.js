// The steps of a rollout, one under the other, and the ways from one to the next.

const firstLine = (step) => {
  const text = (step.command || step.thought || step.shown || "").trim();
  return text.split("\n", 1)[0].slice(0, 160) || "(no command)";
};

const stepHash = (instance, number) => `#/${encodeURIComponent(instance)}/step/${number}`;

function numbersOf(step) {
  const parts = [];
  if (step.seconds !== undefined) {
    const split = [["model", step.model_s], ["command", step.command_s]]
      .filter(([, s]) => s !== undefined).map(([name, s]) => `${name} ${duration(s)}`);
    parts.push(split.length === 2 ? `${duration(step.seconds)} (${split.join(", ")})` : duration(step.seconds));
  }
  if (step.prompt_tokens !== undefined && step.completion_tokens !== undefined) {
    parts.push(`${compact(step.prompt_tokens)} tokens in, ${compact(step.completion_tokens)} out`);
  }
  return parts.join(" · ");
}

function partOf(name, text) {
  if (!text.trim()) return null;
  const kind = name.toLowerCase().replaceAll(" ", "-");
  return make("div", {class: `step-part ${kind}`}, make("h5", {}, name), foldable(text, {class: "text"}));
}

/** One trajectory on the page: it knows its steps, which of them is looked at, and the search. */
class Trajectory {
  constructor(instance, steps) {
    this.instance = instance;
    this.steps = steps;
    this.number = 0;
    this.wanted = "";
    this.found = steps.map((_, index) => index + 1);
    this.longest = steps.reduce((most, step) => Math.max(most, step.seconds || 0), 0) || 1;
    this.items = steps.map((step, index) => this.itemOf(step, index + 1));
    this.entries = steps.map((step, index) => this.entryOf(step, index + 1));
    this.element = this.build();
  }

  build() {
    const section = make("section", {id: "opened-steps", class: "part"}, make("h3", {}, "Trajectory"));
    if (!this.steps.length) {
      section.append(make("p", {}, "No steps of a rollout are kept for it."));
      return section;
    }
    this.place = make("output", {class: "place", "aria-live": "polite"}, plural(this.steps.length, "step"));
    this.search = make("input", {type: "search", placeholder: "Search the steps",
      "aria-label": "Search the steps", input: () => this.filterSoon()});
    const button = (name, sign, by) =>
      make("button", {type: "button", "aria-label": name, title: name, click: () => this.move(by)}, sign);
    this.none = make("p", {hidden: true}, "No step holds that.");
    section.append(
      make("div", {class: "step-bar"},
        button("Step before (k)", "←", -1), this.place, button("Next step (j)", "→", 1), this.search),
      make("p", {class: "how keys"}, ...keysInWords()),
      make("div", {class: "steps-beside"},
        make("nav", {"aria-label": "Steps"}, make("ol", {class: "step-index"}, this.entries)),
        make("div", {}, this.none, make("ol", {class: "steps"}, this.items))));
    return section;
  }

  entryOf(step, number) {
    const bar = make("span", {class: "took", style: `width: ${Math.round(100 * (step.seconds || 0) / this.longest)}%`});
    return make("li", {}, make("a", {href: stepHash(this.instance, number)},
      make("span", {class: "step-number"}, String(number)),
      make("code", {}, firstLine(step)), bar));
  }

  itemOf(step, number) {
    const copied = make("span", {class: "copied", role: "status"});
    const copy = make("button", {type: "button", class: "copy", "aria-label": `Copy a link to step ${number}`,
      click: () => copyLink(stepHash(this.instance, number), copied)}, "Copy link");
    return make("li", {class: "step", id: `step-${number}`, tabindex: "-1"},
      make("div", {class: "step-head"},
        make("h4", {}, make("a", {href: stepHash(this.instance, number)}, `Step ${number}`)),
        make("span", {class: "step-numbers"}, numbersOf(step)), copy, copied),
      partOf("Thought", step.thought), partOf("Command", step.command),
      partOf("Observation", step.observation),
      step.shown === undefined ? null : partOf("The model was shown", step.shown));
  }

  /** The step that a key starts from: the one looked at, or the first that can be seen. */
  current() {
    const isSeen = (item) => {
      const box = item.getBoundingClientRect();
      return !item.hidden && box.bottom > 80 && box.top < innerHeight;
    };
    if (this.number && isSeen(this.items[this.number - 1])) return this.number;
    const seen = this.items.findIndex(isSeen);
    return seen < 0 ? this.number : seen + 1 - (this.items[seen].getBoundingClientRect().top > 80 ? 1 : 0);
  }

  move(by) {
    const now = this.current();
    const next = by > 0 ? this.found.find((n) => n > now) : this.found.findLast((n) => n < now);
    if (next !== undefined) this.show(next);
  }

  toEnd(isLast) {
    const to = this.found.at(isLast ? -1 : 0);
    if (to !== undefined) this.show(to);
  }

  show(number) {
    if (!this.steps.length) return;
    number = Math.min(Math.max(1, number), this.steps.length);
    if (this.items[number - 1].hidden) this.clear();
    this.mark(number);
    history.replaceState(history.state, "", stepHash(this.instance, number));
    const item = this.items[number - 1];
    if (this.wanted) this.unfold(item);
    item.focus({preventScroll: true});
    item.scrollIntoView({block: "start", behavior: "instant"});
  }

  /** Shows all of a step, so that what is searched for is seen wherever it stands. */
  unfold(item) {
    item.querySelectorAll(".folded").forEach((box) => box.unfold());
    highlight(this.items.filter((other) => !other.hidden), this.wanted);
  }

  mark(number) {
    for (const list of [this.items, this.entries]) {
      list[this.number - 1]?.removeAttribute("aria-current");
      list[number - 1].setAttribute("aria-current", "step");
    }
    this.number = number;
    this.place.textContent = `${number} of ${this.steps.length}`;
    const entry = this.entries[number - 1], box = entry.parentElement;
    box.scrollTop = entry.offsetTop - box.clientHeight / 2;
  }

  clear() {
    this.search.value = "";
    this.filter();
  }

  /** Once nobody types for a moment: a trajectory may have tens of megabytes. */
  filterSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.filter(), 120);
  }

  /** Shows the steps alone that hold what is searched for. */
  filter() {
    clearTimeout(this.timer);
    this.wanted = this.search.value.trim().toLowerCase();
    this.texts ||= this.steps.map((step) =>
      [step.thought, step.command, step.observation, step.shown || ""].join("\n").toLowerCase());
    const holds = this.texts.map((text) => text.includes(this.wanted));
    holds.forEach((does, index) => {
      this.items[index].hidden = this.entries[index].hidden = !does;
    });
    this.found = this.steps.map((_, index) => index + 1).filter((number) => holds[number - 1]);
    this.none.hidden = this.found.length > 0;
    const count = plural(this.steps.length, "step");
    this.place.textContent = this.wanted ? `${this.found.length} of ${count}` : count;
    highlight(this.items.filter((item) => !item.hidden), this.wanted);
  }
}

function keysInWords() {
  const keys = [["j", "→"], ["k", "←"], ["Home", "End"], ["/"], ["Esc"]];
  const words = ["next step", "step before", "first, last", "search", "all instances"];
  return keys.flatMap((some, index) => [
    ...some.flatMap((key) => [make("kbd", {}, key), " "]), words[index] + (index < 4 ? " · " : "")]);
}

const MAX_MARKS = 2000;

/** Marks where a text stands, without touching what is there. */
function highlight(items, wanted) {
  if (!globalThis.Highlight) return;
  const marks = new Highlight();
  for (const item of wanted.length > 1 ? items : []) {
    const walker = document.createTreeWalker(item, NodeFilter.SHOW_TEXT);
    while (walker.nextNode() && marks.size < MAX_MARKS) markIn(walker.currentNode, wanted, marks);
  }
  CSS.highlights.set("found", marks);
}

function markIn(node, wanted, marks) {
  const text = node.data.toLowerCase();
  if (text.length !== node.data.length) return; // İ grows, and places would be others
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    const range = new StaticRange({startContainer: node, startOffset: at,
      endContainer: node, endOffset: at + wanted.length});
    marks.add(range);
    if (marks.size >= MAX_MARKS) return;
  }
}

async function copyLink(hash, copied) {
  const link = location.href.split("#", 1)[0] + hash;
  try {
    await navigator.clipboard.writeText(link);
    copied.textContent = "Copied";
  } catch {
    // a page by plain http may not write the clipboard: the link is shown, to be copied by hand
    copied.textContent = link;
    getSelection().selectAllChildren(copied);
  }
}
