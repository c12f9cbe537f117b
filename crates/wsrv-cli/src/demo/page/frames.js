// Lists of what goes over the wire, newest first and never longer than MAX_ROWS.

import { CLOSE_WITHOUT_FRAME, meaningOf } from "./connection.js";
import { $, el } from "./dom.js";

export const MAX_ROWS = 200;
const CUT_ROW = 240;
const CUT_OPEN = 65536;

// Shows in `box` what is added, each as the row that `rowOf` makes of it.
export class FrameList {
  #list;
  #note;
  #rowOf;
  #pending = [];
  #total = 0;
  #paused = false;
  #timer = 0;

  constructor(box, rowOf) {
    this.#list = $("ol", box);
    this.#note = $('[data-role="count"]', box);
    this.#rowOf = rowOf;
    $('[data-action="clear"]', box).addEventListener("click", () => {
      this.#list.replaceChildren();
      this.#pending = [];
    });
    $('[data-action="pause"]', box).addEventListener("click", ({ currentTarget }) => {
      this.#paused = !this.#paused;
      currentTarget.setAttribute("aria-pressed", String(this.#paused));
      this.#flush();
    });
  }

  // Rows are collected and inserted in batches: a busy room must not cost one layout per message.
  add(frame) {
    this.#total += 1;
    this.#pending.push({ time: new Date(), ...frame });
    if (this.#pending.length > MAX_ROWS) this.#pending.shift();
    this.#timer ||= setTimeout(() => this.#flush(), 40);
  }

  #flush() {
    this.#timer = 0;
    if (!this.#paused) {
      this.#list.prepend(...this.#pending.map(this.#rowOf).reverse());
      this.#pending = [];
      while (this.#list.childElementCount > MAX_ROWS) this.#list.lastElementChild.remove();
    }
    const count = `${this.#total.toLocaleString("en")} so far`;
    this.#note.textContent = this.#paused ? `${count}, paused` : count;
  }
}

// What a row shows: the payload's length in bytes and a readable form of its content.
export function contentOf(kind, data) {
  if (kind === "text") return { bytes: new TextEncoder().encode(data).length, content: data };
  if (kind === "binary") {
    const start = new Uint8Array(data, 0, Math.min(data.byteLength, 1024));
    return { bytes: data.byteLength, content: Array.from(start, (byte) => byte.toString(16).padStart(2, "0")).join(" ") };
  }
  const reason = data.reason || meaningOf(data);
  const bytes = CLOSE_WITHOUT_FRAME.includes(data.code) ? 0 : 2 + new TextEncoder().encode(data.reason).length;
  return { bytes, content: reason ? `${data.code} ${reason}` : `${data.code}` };
}

// A row that unfolds: the time, what stands `before` and `behind` the arrow, and the content.
export function frameRow(time, direction, content, behind, ...before) {
  const row = el("li", "frame");
  row.dataset.direction = direction;

  const summary = el("summary");
  const arrow = el("span", "arrow", direction === "in" ? "↓" : "↑");
  arrow.setAttribute("role", "img");
  arrow.setAttribute("aria-label", direction);
  arrow.title = direction === "in" ? "in: from the server" : "out: to the server";
  const clock = `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  summary.append(el("span", "time", clock), ...before, arrow, ...behind, el("span", "content", content.slice(0, CUT_ROW)));

  const details = el("details");
  details.append(summary);
  // Filled on first use: two hundred rows are cheap, two hundred rows with all they could show are not.
  details.addEventListener("toggle", () => details.append(el("pre", "", unfold(content))), { once: true });
  row.append(details);
  return row;
}

function unfold(content) {
  let text = content;
  if (content.length <= CUT_OPEN) {
    try {
      text = JSON.stringify(JSON.parse(content), null, 2);
    } catch {
      // Not JSON, so it is shown as it came.
    }
  }
  return text.length > CUT_OPEN ? `${text.slice(0, CUT_OPEN)}…` : text;
}
