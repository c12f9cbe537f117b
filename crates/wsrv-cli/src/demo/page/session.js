// The session tab: a visitor logs in and out at the demo's small front end, by HTTP, and a socket tells what the server
// knows of them by the cookie alone.

import { Connection } from "./connection.js";
import { $, el, parse, say } from "./dom.js";
import { FrameList, contentOf, frameRow } from "./frames.js";
import { bindButtons, showRetry, showState } from "./status.js";

const box = $("#panel-session");
const pane = $(".session", box);
const role = (name) => $(`[data-role="${name}"]`, box);
const login = $('form[data-form="login"]', box);

const frames = new FrameList($(".frames-box", box), ({ time, direction, kind, data }) => {
  const row = frameRow(time, direction, contentOf(kind, data).content, [el("span", "kind", kind)]);
  row.dataset.kind = kind;
  return row;
});

// ---- The socket ------------------------------------------------------------------------------------------

const connection = new Connection(() => "/session", {
  state(state, close) {
    showState(pane, "session", state, close);
    $('[data-action="reload"]', box).disabled = state !== "open";
    // What is not known any more is not shown any more; and another window may have logged in or out.
    if (state === "open") ask("whoami");
    else showKnown({});
  },
  retry: (seconds) => showRetry(pane, seconds),
  message: (data) => showKnown(parse(data)),
  frame: (direction, kind, data) => frames.add({ direction, kind, data }),
});

function showKnown({ state, why, id, expires_unix_s: expires, values }) {
  say(role("state"), state ?? "–");
  say(role("why"), why ?? "");
  say(role("id"), id ?? "–");
  say(role("ends"), expires ? new Date(expires * 1000).toLocaleTimeString() : "–");
  say(role("values"), values ? JSON.stringify(values) : "–");
}

// ---- The front end ---------------------------------------------------------------------------------------

async function ask(page, form) {
  let answer;
  try {
    const response = await fetch(`/front/${page}`, form ? { method: "POST", body: new URLSearchParams(form) } : {});
    answer = await response.json();
  } catch {
    answer = { error: "no answer" };
  }
  const output = $("output", box);
  output.dataset.outcome = answer.error ? "error" : "";
  const things = answer.basket === 1 ? "one thing" : `${answer.basket} things`;
  say(output, answer.error ?? (answer.user ? `You are ${answer.user}, with ${things} in your basket.` : "Nobody is logged in."));
  if (answer.error) return;
  for (const button of box.querySelectorAll("[data-page]")) button.disabled = !answer.user;
}

login.addEventListener("submit", async (event) => {
  event.preventDefault();
  await ask("login", new FormData(login));
  // A socket knows what its own request came with, so it takes a new one to be somebody.
  connection.connect();
});

for (const button of box.querySelectorAll("[data-page]")) {
  button.addEventListener("click", () => ask(button.dataset.page, []));
}
$('[data-action="reload"]', box).addEventListener("click", () => connection.send("reload"));
bindButtons(pane, connection);

let isOpen = false;

export function openSession() {
  if (isOpen) return;
  isOpen = true;
  connection.connect();
}
