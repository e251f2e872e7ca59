// Patches: a file of one beside the same file of the other.

const LINE_CLASSES = {"+": "added", "-": "removed", "@": "hunk", "~": "note", " ": "context"};

/** A file's changes as lines of colour. They scroll within their own box. */
function diffOf(file, label) {
  const lines = file.text.split("\n").map((line, number) =>
    make("span", {class: LINE_CLASSES[file.kinds[number]]}, `${line || " "}\n`));
  if (file.left_out) lines.push(make("span", {class: "note"}, `… ${plural(file.left_out, "more line")}\n`));
  return make("pre", {class: "diff scrolls", tabindex: "0", role: "region", "aria-label": label},
    make("code", {}, lines));
}

function changesOf(file) {
  return make("span", {class: "changes"},
    make("span", {class: "added"}, `+${file.added}`), " ",
    make("span", {class: "removed"}, `−${file.removed}`));
}

function sideOf(file, name, path, missing) {
  const heading = make("p", {class: "side-name"}, name, " ", file ? changesOf(file) : null);
  const body = file ? diffOf(file, `${name}: ${path}`) : make("p", {class: "missing"}, missing);
  return make("div", {class: file ? "side" : "side absent"}, heading, body);
}

/** What stands before a patch's first file, in words or odd lines. */
const prefaceOf = (pair) => [pair.ours, pair.gold].filter(Boolean).map((lines) =>
  diffOf(lines, "Before the first file"));

/** One file as both patches change it; says in words which of them does. */
function pairOf(pair) {
  if (!pair.path) return make("section", {class: "file"}, ...prefaceOf(pair));
  const where = pair.ours && pair.gold ? "in both"
    : pair.ours ? "in this patch alone" : "in the gold patch alone";
  return make("section", {class: "file"},
    make("h4", {}, make("code", {}, pair.path), " ",
      make("span", {class: pair.ours && pair.gold ? "tag same" : "tag"}, where)),
    make("div", {class: "sides"},
      sideOf(pair.ours, "This patch", pair.path, "This patch leaves the file as it is."),
      sideOf(pair.gold, "Gold patch", pair.path, "The gold patch leaves the file as it is.")));
}

function patchesOf(overview) {
  const empty = overview.has_patch ? null : make("p", {}, "There is no patch of this run to show.");
  const tests = overview.test_files.length && make("details", {},
    make("summary", {}, `The benchmark's change of the tests (${plural(overview.test_files.length, "file")})`),
    ...overview.test_files.map((file) => make("div", {class: "file"},
      make("h4", {}, make("code", {}, file.path), " ", changesOf(file.gold)),
      diffOf(file.gold, `Tests: ${file.path}`))));
  return make("section", {id: "opened-patch", class: "part"},
    make("h3", {}, "Patch beside gold patch"), empty, overview.files.map(pairOf), tests || null);
}
