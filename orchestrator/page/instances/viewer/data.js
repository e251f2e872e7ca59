// The details of instances: in the page, or in files beside it that are loaded when asked for.

const details = new Map();
const waiting = new Map();

/** The name of the instance that an element is about. */
const instanceOf = (element) => decodeURIComponent(element.dataset.instance);

for (const element of document.querySelectorAll("script[data-instance]")) {
  details.set(instanceOf(element), {element, file: element.dataset.file, parts: null});
}

/** Files call this with what they hold. */
globalThis.receiveDetails = (instance, parts) => {
  const known = details.get(instance);
  if (known) Object.assign(known.parts, parts);
};

/** The parts of one instance; rejects where its file can't be loaded. */
function load(instance) {
  const known = details.get(instance);
  if (!known.parts) known.parts = JSON.parse(known.element.textContent);
  const whole = known.parts.overview && known.parts.steps;
  if (whole || !known.file) return Promise.resolve(known.parts);
  if (!waiting.has(instance)) waiting.set(instance, loadFile(known).finally(() => waiting.delete(instance)));
  return waiting.get(instance);
}

function loadFile(known) {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error(
      `${known.file} could not be loaded. It lies beside this page where the run is; ` +
      "copy that folder along with the page."));
    const script = make("script", {src: known.file, error: fail, load: () => {
      if (known.parts.overview && known.parts.steps) resolve(known.parts);
      else fail();
    }});
    document.head.append(script);
    script.remove();
  });
}
