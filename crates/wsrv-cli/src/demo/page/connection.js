// A connection that comes back. What of it is shown, and where, is told by others.

const MAX_RETRY_SECONDS = 10;

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

// The browser's own words; nothing of them was on the wire.
export const CLOSE_WITHOUT_FRAME = [1005, 1006];

// Close codes are numbers to programs and words to people.
export const meaningOf = ({ code, reason }) => CLOSE_MEANING[code] || reason;

const socketUrl = (path) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;

// Owns at most one live socket, which speaks `protocol` if one is named. `on` holds the listeners: state(state, close),
// retry(seconds), message(data), and optionally frame(direction, kind, data), which sees everything, also from sockets
// already replaced.
export class Connection {
  #socket = null;
  #timer = 0;
  #failures = 0;
  #lastClose = null;

  constructor(path, on, protocol) {
    this.path = path;
    this.on = on;
    this.protocols = protocol ? [protocol] : [];
  }

  connect() {
    clearTimeout(this.#timer);
    this.#leave(1000, "reconnecting");
    this.on.retry(0);

    const socket = new WebSocket(socketUrl(this.path()), this.protocols);
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
