// The demo page of wsrv: two chat connections, what they send and receive, and the server's own figures. Behind tabs of
// their own, a console that speaks WAMP, and a log-in that a socket knows of.

import { Connection } from "./connection.js";
import { $, el, parse } from "./dom.js";
import { FrameList, MAX_ROWS, contentOf, frameRow } from "./frames.js";
import { openSession } from "./session.js";
import { bindButtons, setLight, showRetry, showState } from "./status.js";
import { openConsole } from "./wamp.js";

const MAX_MEMBERS = 8;
const SPARK_SECONDS = 60;

// ---- Tabs ------------------------------------------------------------------------------------------------

const tabs = [...document.querySelectorAll('[role="tab"]')];

function show(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    $(`#${each.getAttribute("aria-controls")}`).hidden = !chosen;
  }
  // Nobody connects who does not want to look.
  if (tab.id === "tab-wamp") openConsole();
  if (tab.id === "tab-session") openSession();
}

// The part behind the # names the tab, so that a link can. It is no id, or the browser would scroll there.
const hashOf = (tab) => tab.id.replace("tab-", "#");
const showNamed = () => show(tabs.find((tab) => hashOf(tab) === location.hash) ?? tabs[0]);

for (const [at, tab] of tabs.entries()) {
  tab.addEventListener("click", () => {
    history.replaceState(null, "", hashOf(tab));
    show(tab);
  });
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
}
addEventListener("hashchange", showNamed);

// ---- Frames in and out -----------------------------------------------------------------------------------

const frames = new FrameList($("#panel-chat .frames-box"), ({ time, pane, direction, kind, data }) => {
  const { bytes, content } = contentOf(kind, data);
  const behind = [el("span", "kind", kind), el("span", "bytes", bytes.toLocaleString("en"))];
  const row = frameRow(time, direction, content, behind, el("span", "tag", pane));
  Object.assign(row.dataset, { pane, kind });
  return row;
});

// ---- A chat pane -----------------------------------------------------------------------------------------

function openPane(side, defaultName) {
  const pane = $("#pane").content.firstElementChild.cloneNode(true);
  pane.dataset.pane = side;
  pane.setAttribute("aria-label", `Chat, ${side} pane`);
  $("#panes").append(pane);

  const name = $('[name="name"]', pane);
  const room = $('[name="room"]', pane);
  const text = $('[name="text"]', pane);
  const messages = $(".messages", pane);
  name.value = defaultName;
  let current = { name: defaultName, room: room.value };
  let ownId = null;

  function append(item) {
    messages.append(item);
    while (messages.childElementCount > MAX_ROWS) messages.firstElementChild.remove();
  }

  const notice = (words) => append(el("li", "notice", words));

  function showMembers(members) {
    if (!Array.isArray(members)) return;
    const chips = members.slice(0, MAX_MEMBERS).map((member) => el("li", "", String(member)));
    if (members.length > MAX_MEMBERS) chips.push(el("li", "more", `and ${members.length - MAX_MEMBERS} more`));
    $(".members", pane).replaceChildren(...chips);
  }

  const receive = {
    welcome(message) {
      ownId = message.id;
      showMembers(message.members);
      notice(`You are ${message.name} in ${message.room}, connection ${message.id}`);
    },
    joined(message) {
      showMembers(message.members);
      notice(`${message.name} came in`);
    },
    left(message) {
      showMembers(message.members);
      notice(`${message.name} left`);
    },
    said(message) {
      const item = el("li", "message");
      if (message.id === ownId) item.classList.add("own");
      if (message.id === 0) item.classList.add("outside");
      item.append(el("span", "who", message.name), el("span", "what", message.text));
      append(item);
    },
  };

  const connection = new Connection(
    () => `/chat/${encodeURIComponent(current.room)}?name=${encodeURIComponent(current.name)}`,
    {
      state(state, close) {
        showState(pane, side, state, close);
        $('[type="submit"]', pane).disabled = state !== "open";
        if (state !== "open") showMembers([]);
        if (state === "closed" && ownId !== null) {
          ownId = null;
          notice("Disconnected. What others say now is missed here.");
        }
      },
      retry: (seconds) => showRetry(pane, seconds),
      message(data) {
        const message = parse(data);
        if (Object.hasOwn(receive, message.type)) receive[message.type](message);
      },
      frame: (direction, kind, data) => frames.add({ pane: side, direction, kind, data }),
    },
  );

  // The server reads name and room from the address, so a change of either means a new connection.
  function move() {
    name.value = name.value.trim() || current.name;
    if (name.value === current.name && room.value === current.room) return;
    if (room.value !== current.room) messages.replaceChildren();
    current = { name: name.value, room: room.value };
    text.placeholder = `Say something in ${current.room}`;
    connection.connect();
  }

  name.addEventListener("change", move);
  room.addEventListener("change", move);
  text.placeholder = `Say something in ${current.room}`;
  bindButtons(pane, connection);
  $(".say", pane).addEventListener("submit", (event) => {
    event.preventDefault();
    const words = text.value.trim();
    // What could not be sent stays in the field.
    if (words && connection.send(JSON.stringify({ type: "say", text: words }))) text.value = "";
  });

  connection.connect();
  return room;
}

// ---- Live figures ----------------------------------------------------------------------------------------

const perSecond = []; // the last minute: { in, out }
let previous = null;

function showFigure(key, text) {
  $(`[data-figure="${key}"]`).textContent = text;
}

const count = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–");

function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const [d, h, m, s] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s} s` : `${s} s`;
}

function showStats(stats) {
  const now = { at: performance.now(), in: stats.messages_in, out: stats.messages_out, uptime: stats.uptime_s };
  // A shorter uptime than before is another server: its counters start over and so does the line.
  if (previous && now.uptime < previous.uptime) {
    previous = null;
    perSecond.length = 0;
  }
  if (previous) {
    // Ticks arrive a little early or late; anything below half a second is delay being made up, not a rate.
    const seconds = Math.max((now.at - previous.at) / 1000, 0.5);
    perSecond.push({ in: (now.in - previous.in) / seconds, out: (now.out - previous.out) / seconds });
    if (perSecond.length > SPARK_SECONDS) perSecond.shift();
    const latest = perSecond.at(-1);
    showFigure("rate", count(Math.round(latest.in + latest.out)));
    drawSpark();
  }
  previous = now;
  showFigure("connections", count(stats.connections));
  showFigure("messages-in", count(stats.messages_in));
  showFigure("messages-out", count(stats.messages_out));
  showFigure("uptime", duration(stats.uptime_s));
  showFigure("memory", Number.isFinite(stats.memory_bytes) ? `${(stats.memory_bytes / 1048576).toFixed(1)} MiB` : "unknown");
}

// One unit per second to the right, the newest at the right edge; 24 units high with a hair of air for the stroke.
function drawSpark() {
  const top = Math.max(4, ...perSecond.map((each) => Math.max(each.in, each.out)));
  const from = SPARK_SECONDS - perSecond.length + 1;
  const line = (key) => perSecond.map((each, i) => `${i ? "L" : "M"}${from + i} ${(23 - (each[key] / top) * 21).toFixed(2)}`).join("");
  $(".spark-in").setAttribute("d", line("in"));
  $(".spark-out").setAttribute("d", line("out"));
  $(".spark-area").setAttribute("d", `${line("out")}V24H${from}Z`);
}

// ---- Joining from elsewhere ------------------------------------------------------------------------------

function showCurl(room) {
  $("#curl").textContent = `curl -d 'hello from the terminal' ${location.origin}/say/${room}`;
}

// Browsers offer the clipboard on loopback and over https only; elsewhere the line can still be selected.
if (navigator.clipboard) {
  const button = $("#copy");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await navigator.clipboard.writeText($("#curl").textContent).then(() => true, () => false);
    button.textContent = done ? "Copied" : "Not allowed";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

// ---- Start -----------------------------------------------------------------------------------------------

const leftRoom = openPane("left", "Ada");
openPane("right", "Grace");

// The command talks to the room the left pane is in, so that its effect can be seen here.
showCurl(leftRoom.value);
leftRoom.addEventListener("change", () => showCurl(leftRoom.value));

new Connection(() => "/stats", {
  state(state) {
    setLight("stats", state);
    $("#figures").dataset.state = state;
  },
  retry() {},
  message: (data) => showStats(parse(data)),
}).connect();

showNamed();
