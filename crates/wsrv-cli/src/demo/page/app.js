// The demo page of wsrv: two chat connections, what they send and receive, and the server's own figures.
//
// Nothing from the network becomes HTML: every piece of it goes in as text.

const MAX_RETRY_SECONDS = 10;
const MAX_ROWS = 200;
const MAX_MEMBERS = 8;
const SPARK_SECONDS = 60;
const CUT_ROW = 240;
const CUT_OPEN = 65536;

// The page's own close codes come from the range RFC 6455 leaves to applications.
const DROPPED = 4000;

const CLOSE_MEANING = {
  1000: "normal closure",
  1001: "server going away",
  1002: "protocol error",
  1003: "unsupported data",
  1005: "no close code given",
  1006: "connection lost",
  1007: "invalid text",
  1008: "against the server's policy",
  1009: "message too big",
  1011: "server error",
  1012: "server restarting",
  1013: "try again later",
  [DROPPED]: "dropped from this page",
};

const $ = (selector, root = document) => root.querySelector(selector);

function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

const socketUrl = (path) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;

function parse(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}

// ---- A connection that comes back ------------------------------------------------------------------------

// Owns at most one live socket. `on` holds the listeners: state(state, close), retry(seconds), message(data),
// and optionally frame(direction, kind, data), which sees everything, also from sockets already replaced.
class Connection {
  #socket = null;
  #timer = 0;
  #failures = 0;
  #lastClose = null;

  constructor(path, on) {
    this.path = path;
    this.on = on;
  }

  connect() {
    clearTimeout(this.#timer);
    this.#leave(1000, "reconnecting");
    this.on.retry(0);

    const socket = new WebSocket(socketUrl(this.path()));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    let opened = false;
    this.on.state("connecting", this.#lastClose);

    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      opened = true;
      this.#lastClose = null;
      this.on.state("open", null);
    });
    socket.addEventListener("message", ({ data }) => {
      this.on.frame?.("in", typeof data === "string" ? "text" : "binary", data);
      if (socket !== this.#socket) return;
      // A server that accepts and then hangs up at once is still a failure, so only a message counts as success.
      this.#failures = 0;
      this.on.message(data);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      // A failed attempt carried no frame, and its 1006 would hide why the connection ended in the first place.
      if (opened) this.on.frame?.("in", "close", { code, reason });
      if (socket !== this.#socket) return;
      this.#socket = null;
      if (opened || !this.#lastClose) this.#lastClose = { code, reason };
      this.on.state("closed", this.#lastClose);
      this.#wait(Math.min(2 ** this.#failures++, MAX_RETRY_SECONDS));
    });
  }

  send(text) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    this.on.frame?.("out", "text", text);
    return true;
  }

  // Closes but stays the owner, so the answer to the close is handled like any other end: shown, then retried.
  drop() {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#close(this.#socket, DROPPED, "dropped from this page");
  }

  #leave(code, reason) {
    const socket = this.#socket;
    this.#socket = null;
    if (socket?.readyState === WebSocket.OPEN) this.#close(socket, code, reason);
    else socket?.close();
  }

  #close(socket, code, reason) {
    socket.close(code, reason);
    this.on.frame?.("out", "close", { code, reason });
  }

  // Counts down in steps a little shorter than a second and never quite equal, so that the panes of many windows
  // do not knock in the same instant.
  #wait(seconds) {
    if (seconds === 0) return this.connect();
    this.on.retry(seconds);
    this.#timer = setTimeout(() => this.#wait(seconds - 1), 1000 - Math.random() * 200);
  }
}

// ---- The light in the header -----------------------------------------------------------------------------

const lights = new Map();

function setLight(key, state) {
  lights.set(key, state);
  const open = [...lights.values()].filter((each) => each === "open").length;
  const light = $("#light");
  light.dataset.state = open === lights.size ? "open" : open > 0 ? "connecting" : state;
  const text = open > 0 ? `${open} of ${lights.size} connections open` : state === "closed" ? "server not reachable" : light.textContent;
  // Writing the same words again would make a screen reader repeat them.
  if (light.textContent !== text) light.textContent = text;
}

// ---- Frames in and out -----------------------------------------------------------------------------------

const frames = {
  list: $("#frames"),
  pending: [],
  total: 0,
  paused: false,
  timer: 0,

  // Rows are collected and inserted in batches: a busy room must not cost one layout per message.
  add(pane, direction, kind, data) {
    this.total += 1;
    this.pending.push({ time: new Date(), pane, direction, kind, data });
    if (this.pending.length > MAX_ROWS) this.pending.shift();
    this.timer ||= setTimeout(() => this.flush(), 40);
  },

  flush() {
    this.timer = 0;
    if (!this.paused) {
      this.list.prepend(...this.pending.map(frameRow).reverse());
      this.pending = [];
      while (this.list.childElementCount > MAX_ROWS) this.list.lastElementChild.remove();
    }
    const count = `${this.total.toLocaleString("en")} so far`;
    $("#frames-note").textContent = this.paused ? `${count}, paused` : count;
  },
};

// What a row shows: the payload's length in bytes and a readable form of its content.
function describe(kind, data) {
  if (kind === "text") return { bytes: new TextEncoder().encode(data).length, content: data };
  if (kind === "binary") {
    const start = new Uint8Array(data, 0, Math.min(data.byteLength, 1024));
    return { bytes: data.byteLength, content: Array.from(start, (byte) => byte.toString(16).padStart(2, "0")).join(" ") };
  }
  const reason = data.reason || CLOSE_MEANING[data.code] || "";
  // 1005 and 1006 are the browser's own words; nothing of them was on the wire.
  const bytes = data.code === 1005 || data.code === 1006 ? 0 : 2 + new TextEncoder().encode(data.reason).length;
  return { bytes, content: reason ? `${data.code} ${reason}` : `${data.code}` };
}

function frameRow({ time, pane, direction, kind, data }) {
  const { bytes, content } = describe(kind, data);
  const row = el("li", "frame");
  Object.assign(row.dataset, { direction, pane, kind });

  const summary = el("summary");
  const arrow = el("span", "arrow", direction === "in" ? "↓" : "↑");
  arrow.setAttribute("role", "img");
  arrow.setAttribute("aria-label", direction);
  arrow.title = direction === "in" ? "in: from the server" : "out: to the server";
  const clock = `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  summary.append(
    el("span", "time", clock),
    el("span", "tag", pane),
    arrow,
    el("span", "kind", kind),
    el("span", "bytes", bytes.toLocaleString("en")),
    el("span", "content", content.slice(0, CUT_ROW)),
  );

  const details = el("details");
  details.append(summary);
  // Filled on first use: two hundred rows are cheap, two hundred rows with all they could show are not.
  details.addEventListener("toggle", () => details.append(el("pre", "", unfold(kind, content))), { once: true });
  row.append(details);
  return row;
}

function unfold(kind, content) {
  let text = content;
  if (kind === "text" && content.length <= CUT_OPEN) {
    try {
      text = JSON.stringify(JSON.parse(content), null, 2);
    } catch {
      // Not JSON, so it is shown as it came.
    }
  }
  return text.length > CUT_OPEN ? `${text.slice(0, CUT_OPEN)}…` : text;
}

$("#frames-clear").addEventListener("click", () => {
  frames.list.replaceChildren();
  frames.pending = [];
});

$("#frames-pause").addEventListener("click", ({ currentTarget }) => {
  frames.paused = !frames.paused;
  currentTarget.setAttribute("aria-pressed", String(frames.paused));
  frames.flush();
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
  const status = $('[data-role="status"]', pane);
  const retry = $('[data-role="retry"]', pane);
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
        pane.dataset.state = state;
        setLight(side, state);
        const meaning = close && (CLOSE_MEANING[close.code] || close.reason);
        const words = close ? `closed ${close.code}${meaning ? ` — ${meaning}` : ""}` : state === "open" ? "connected" : "connecting";
        if (status.textContent !== words) status.textContent = words;
        $('[data-action="drop"]', pane).disabled = state !== "open";
        $('[type="submit"]', pane).disabled = state !== "open";
        if (state !== "open") showMembers([]);
        if (state === "closed" && ownId !== null) {
          ownId = null;
          notice("Disconnected. What others say now is missed here.");
        }
      },
      retry(seconds) {
        retry.textContent = seconds ? `next try in ${seconds} s` : "";
      },
      message(data) {
        const message = parse(data);
        if (Object.hasOwn(receive, message.type)) receive[message.type](message);
      },
      frame: (direction, kind, data) => frames.add(side, direction, kind, data),
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
  $('[data-action="drop"]', pane).addEventListener("click", () => connection.drop());
  $('[data-action="reconnect"]', pane).addEventListener("click", () => connection.connect());
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
