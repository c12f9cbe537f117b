// The WAMP console: one session of WAMP version 1, and every message of it. A message is a JSON array in one text; its
// first element says which of these it is.

import { Connection } from "./connection.js";
import { $, el, parse, say } from "./dom.js";
import { FrameList, contentOf, frameRow } from "./frames.js";
import { bindButtons, showRetry, showState } from "./status.js";

const TYPES = ["WELCOME", "PREFIX", "CALL", "CALLRESULT", "CALLERROR", "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", "EVENT"];
const [, PREFIX, CALL, , , SUBSCRIBE, UNSUBSCRIBE, PUBLISH] = TYPES.keys();

// What the demo's server offers.
const DEMO = "http://demo.example/";

const box = $("#panel-wamp");
const pane = $(".session", box);
const role = (name) => $(`[data-role="${name}"]`, box);
const form = (name) => $(`form[data-form="${name}"]`, box);

// All of it ends with the session.
const calls = new Map(); // those without an answer so far: { procedure, began } by id
const prefixes = new Map();
const subscriptions = new Map(); // how many events there were, by topic
let lastCall = 0;

// ---- The session -----------------------------------------------------------------------------------------

const messages = new FrameList($(".frames-box", box), ({ time, direction, kind, data, type, took }) => {
  const row = frameRow(time, direction, contentOf(kind, data).content, [el("span", "type", type), el("span", "took", took)]);
  Object.assign(row.dataset, { type, kind });
  return row;
});

const connection = new Connection(
  () => "/wamp",
  {
    state(state, close) {
      showState(pane, "wamp", state, close);
      if (state !== "open") endSession();
    },
    retry: (seconds) => showRetry(pane, seconds),
    message(data) {
      const message = parse(data);
      receive[TYPES[message[0]]]?.(message);
    },
    frame(direction, kind, data) {
      const message = kind === "text" ? parse(data) : [];
      const call = direction === "in" && calls.get(message[1]);
      const took = call && isAnswer(message) ? `${Math.round(performance.now() - call.began)} ms` : "";
      messages.add({ direction, kind, data, took, type: kind === "text" ? (TYPES[message[0]] ?? "unknown") : kind });
    },
  },
  "wamp",
);

const isAnswer = (message) => ["CALLRESULT", "CALLERROR"].includes(TYPES[message[0]]);

const send = (...message) => connection.send(JSON.stringify(message));

const receive = {
  WELCOME([, session, version, server]) {
    role("session").textContent = session;
    role("server").textContent = `${server}, version ${version} of the protocol`;
    role("requests").disabled = false;
  },
  CALLRESULT: ([, id, result]) => answered(id, "answer", JSON.stringify(result)),
  CALLERROR: ([, id, uri, description]) => answered(id, "error", `${description} (${uri})`),
  EVENT([, topic]) {
    if (!subscriptions.has(topic)) return;
    subscriptions.set(topic, subscriptions.get(topic) + 1);
    showSubscriptions();
  },
};

function answered(id, outcome, words) {
  const call = calls.get(id);
  if (!call) return;
  calls.delete(id);
  const output = $("output", form("call"));
  output.dataset.outcome = outcome;
  output.textContent = `${call.procedure}: ${words}`;
}

function endSession() {
  calls.clear();
  prefixes.clear();
  subscriptions.clear();
  showPrefixes();
  showSubscriptions();
  role("session").textContent = "none";
  role("server").textContent = "";
  role("requests").disabled = true;
}

// The server does the same with its copy of the prefixes; events come under the whole URI.
function resolve(uri) {
  const at = uri.indexOf(":");
  const base = prefixes.get(uri.slice(0, at));
  return base === undefined ? uri : base + uri.slice(at + 1);
}

// ---- What there is ---------------------------------------------------------------------------------------

function showPrefixes() {
  const items = [...prefixes].map(([prefix, uri]) => {
    const item = el("li");
    item.append(el("code", "", `${prefix}:`), el("span", "quiet", uri));
    return item;
  });
  role("prefixes").replaceChildren(...items);
}

// An event only changes a count: the buttons stay as they are, and so does the keyboard's focus.
function showSubscriptions() {
  const list = role("subscriptions");
  for (const item of [...list.children]) if (!subscriptions.has(item.dataset.topic)) item.remove();
  for (const [topic, events] of subscriptions) {
    let item = [...list.children].find((item) => item.dataset.topic === topic);
    if (!item) {
      item = el("li");
      item.dataset.topic = topic;
      const leave = el("button", "", "Unsubscribe");
      leave.type = "button";
      leave.setAttribute("aria-label", `Unsubscribe from ${topic}`);
      leave.addEventListener("click", () => unsubscribe(topic));
      item.append(el("code", "", topic), el("span", "quiet"), leave);
      list.append(item);
    }
    say($(".quiet", item), events === 1 ? "1 event" : `${events.toLocaleString("en")} events`);
  }
}

// ---- What can be asked for -------------------------------------------------------------------------------

function unsubscribe(topic) {
  if (!subscriptions.has(topic) || !send(UNSUBSCRIBE, topic)) return;
  subscriptions.delete(topic);
  showSubscriptions();
}

// The value of a field that holds JSON, given as an array; undefined if it is none, which the field then tells.
function jsonOf(field) {
  try {
    return JSON.parse(`[${field.value}]`);
  } catch (error) {
    field.setCustomValidity(`This is not JSON. ${error.message}`);
    field.reportValidity();
  }
}

const requests = {
  call({ procedure, arguments: args }) {
    const values = jsonOf(args);
    if (!values) return;
    const id = String(++lastCall);
    calls.set(id, { procedure: procedure.value, began: performance.now() });
    send(CALL, id, procedure.value, ...values);
  },
  prefix({ prefix, uri }) {
    if (!send(PREFIX, prefix.value, uri.value)) return;
    prefixes.set(prefix.value, uri.value);
    showPrefixes();
  },
  subscribe({ topic }) {
    const uri = resolve(topic.value);
    if (!send(SUBSCRIBE, topic.value)) return;
    if (!subscriptions.has(uri)) subscriptions.set(uri, 0);
    showSubscriptions();
  },
  publish({ topic, event, exclude }) {
    const values = jsonOf(event);
    if (values?.length === 1) {
      // A server has its own mind about the publisher if nothing is said; this one excludes it.
      const excludeMe = exclude.value ? [exclude.value === "true"] : [];
      send(PUBLISH, topic.value, values[0], ...excludeMe);
    } else if (values) {
      event.setCustomValidity("An event is one value.");
      event.reportValidity();
    }
  },
};

for (const [name, request] of Object.entries(requests)) {
  form(name).addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    request(form(name).elements);
  });
  form(name).addEventListener("input", ({ target }) => target.setCustomValidity(""));
}

// Each fills in a form and sends it, so that what it does can be seen there, and changed.
function ask(name, values) {
  const { elements } = form(name);
  for (const [field, value] of Object.entries(values)) {
    elements[field].value = value;
    elements[field].setCustomValidity("");
  }
  form(name).requestSubmit();
}

const examples = {
  add: () => ask("call", { procedure: `${DEMO}calc#add`, arguments: "3, 4" }),
  wait: () => ask("call", { procedure: `${DEMO}clock#wait`, arguments: "2" }),
  fail: () => ask("call", { procedure: `${DEMO}calc#divide`, arguments: "1, 0" }),
  unknown: () => ask("call", { procedure: `${DEMO}calc#guess`, arguments: "" }),
  list: () => ask("call", { procedure: `${DEMO}topics#list`, arguments: "" }),
  curie() {
    ask("prefix", { prefix: "calc", uri: `${DEMO}calc#` });
    ask("call", { procedure: "calc:add", arguments: "0.5, 0.25" });
  },
  listen: () => ask("subscribe", { topic: `${DEMO}chat` }),
  talk: () => ask("publish", { topic: `${DEMO}chat`, event: '{"text": "hello from the console"}' }),
  clock: () => ask("subscribe", { topic: `${DEMO}clock` }),
};

for (const button of box.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => examples[button.dataset.example]());
}

bindButtons(pane, connection);

let isOpen = false;

// Connects, the first time.
export function openConsole() {
  if (isOpen) return;
  isOpen = true;
  connection.connect();
}
