// An opened instance, but for its patches and steps: what came out, tests, attempts.

function headOf(overview) {
  const numbers = overview.numbers;
  const facts = [
    ["Ended", numbers.outcome],
    ["Steps", numbers.steps],
    ["Tokens", numbers.tokens === null ? null : compact(numbers.tokens)],
    ["Time", numbers.minutes === null ? null : duration(60 * numbers.minutes)],
    ["Attempts", numbers.attempts || null],
    ["Repository", overview.repo],
  ].filter(([, value]) => value !== null && value !== "");
  return make("header", {},
    make("h2", {id: "opened-name", tabindex: "-1"}, overview.id),
    make("p", {class: "came-out"},
      make("span", {class: `shape ${overview.class}`, "aria-hidden": "true"}, overview.mark), " ",
      make("strong", {}, overview.verdict), overview.why ? `: ${overview.why}` : ""),
    overview.because ? make("p", {class: "because"}, overview.because) : null,
    ...overview.warnings.map((line) => make("p", {class: "warning"}, line)),
    make("dl", {class: "facts"}, ...facts.map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, String(value))))));
}

function countOf(count) {
  const all = count.failed + count.passed;
  return make("li", {class: count.failed ? "failing" : ""},
    count.failed ? `${count.failed} of ${plural(all, "test")} failed` : `${plural(all, "test")} passed`,
    ` (${count.kind}: ${count.words})`);
}

function failedTest(test, isOpen) {
  const name = make("code", {}, test.name);
  const kind = make("span", {class: "tag"}, test.kind);
  if (!test.output) return make("p", {class: "test"}, name, " ", kind, " ", "Nothing was printed of it.");
  return make("details", {class: "test", open: isOpen}, make("summary", {}, name, " ", kind),
    foldable(test.output, {class: "output"}));
}

function testsOf(overview) {
  const tests = overview.tests;
  const more = tests.named.length + tests.left_out;
  const none = !tests.counts.length;
  return make("section", {id: "opened-tests", class: "part"},
    make("h3", {}, "Tests"),
    none ? make("p", {}, tests.none) : make("ul", {class: "counts"}, ...tests.counts.map(countOf)),
    ...tests.failed.map((test, number) => failedTest(test, number === 0)),
    more ? make("details", {}, make("summary", {}, plural(more, "more test"), " that failed"),
      make("pre", {class: "output"}, tests.named.join("\n"),
        tests.left_out ? `\n… ${tests.left_out.toLocaleString("en")} more` : "")) : null,
    tests.output ? make("details", {}, make("summary", {}, "All that the tests printed"),
      make("pre", {class: "output"}, tests.output)) : null);
}

/** What was tried, where that is more than one rollout and its grade. */
function attemptsOf(overview) {
  const attempts = overview.attempts;
  if (!attempts.some((row) => row.failed) && attempts.length < 3) return null;
  return make("section", {id: "opened-attempts", class: "part"},
    make("h3", {}, "Attempts"),
    make("ol", {class: "attempts"}, ...attempts.map((row) =>
      make("li", {class: row.failed ? "failed" : ""},
        make("strong", {}, `${row.what} ${row.attempt}: ${row.ended}`),
        ` after ${duration(row.seconds)}`,
        row.detail ? make("p", {class: "how"}, row.detail) : null))));
}
