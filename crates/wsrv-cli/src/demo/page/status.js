// What the page shows of a connection: in its pane, and by the light in the header, which tells of all of them.

import { meaningOf } from "./connection.js";
import { $, say } from "./dom.js";

const RETRY = '[data-role="retry"]';
const STATUS = '[data-role="status"]';
const DROP = '[data-action="drop"]';
const RECONNECT = '[data-action="reconnect"]';

// Shows the state of the connection that is called `name`; `close` is its last end, if it has had one.
export function showState(pane, name, state, close) {
  pane.dataset.state = state;
  setLight(name, state);
  say($(STATUS, pane), wordsFor(state, close));
  $(DROP, pane).disabled = state !== "open";
}

// In how many seconds there is the next try; 0 is none.
export function showRetry(pane, seconds) {
  $(RETRY, pane).textContent = seconds ? `next try in ${seconds} s` : "";
}

// Lets the buttons of the pane end the connection and begin it anew.
export function bindButtons(pane, connection) {
  $(DROP, pane).addEventListener("click", () => connection.drop());
  $(RECONNECT, pane).addEventListener("click", () => connection.connect());
}

function wordsFor(state, close) {
  if (!close) return state === "open" ? "connected" : "connecting";
  const meaning = meaningOf(close);
  return `closed ${close.code}${meaning ? ` — ${meaning}` : ""}`;
}

// ---- The light in the header -----------------------------------------------------------------------------

const lights = new Map();

export function setLight(name, state) {
  lights.set(name, state);
  const open = [...lights.values()].filter((each) => each === "open").length;
  const light = $("#light");
  light.dataset.state = open === lights.size ? "open" : open > 0 ? "connecting" : state;
  const text = open > 0 ? `${open} of ${lights.size} connections open` : state === "closed" ? "server not reachable" : light.textContent;
  say(light, text);
}
