/*! element.mjs 0.3.0: a field that uploads files to an Incoming!! server. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/element/incoming_upload.js
import incoming from "./incoming.mjs";
import { Queue, check_file, files_of, ticket_from } from "./queue.mjs";
import { forget, keep_awake, pick_files, remember, reopen, watch_unfinished } from "./resume.mjs";

// src/element/dom.js
function h(what, attributes = {}, ...children) {
  const [tag, name] = what.split(".");
  const made = document.createElement(tag);
  if (name) Object.assign(made, { className: name }).setAttribute("part", name);
  for (const key in attributes) set(made, key, attributes[key]);
  made.append(...children);
  return made;
}
function set(where, name, value) {
  if (where.getAttribute(name) === value) return;
  if (value === null) where.removeAttribute(name);
  else where.setAttribute(name, value);
}
function put(where, text) {
  if (where.textContent !== text) where.textContent = text;
}
function show(where, visible) {
  set(where, "hidden", visible ? null : "");
}
function style(where, name, value) {
  if (where.style.getPropertyValue(name) !== value) where.style.setProperty(name, value);
}

// src/element/now.js
function file_now({ id, file, path, state, message, reason, bytes_acked, can_pause, can_resume, can_cancel, can_retry, upload }) {
  const common = { key: String(id), path, type: file.type, size: file.size, reason, bytes_acked, can_pause, can_cancel, can_retry };
  const idle = { bytes_per_s: 0, seconds_left: null, next_retry_at: null };
  if (state !== "running") return { ...common, ...idle, state, message };
  if (!upload) return { ...common, ...idle, state: can_retry ? "retrying" : "asking", message };
  const { bytes_per_s, seconds_left, next_retry_at, state_msg } = upload;
  return { ...common, bytes_per_s, seconds_left, next_retry_at, state: upload.state, message: state_msg, can_pause: can_pause || can_resume };
}

// src/storage.js
function with_storage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    return null;
  }
}

// src/element/owner.js
var PREFIX = "incoming-upload:";
var KEEP_DAYS = 30;
function own(upload_id, owner) {
  with_storage((storage) => storage.setItem(PREFIX + upload_id, JSON.stringify({ owner, at_ms: Date.now() })));
}
function disown(upload_id) {
  with_storage((storage) => storage.removeItem(PREFIX + upload_id));
}
function owned_by(owner) {
  const ids = /* @__PURE__ */ new Set();
  with_storage((storage) => {
    for (const key of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
      const entry = parsed(storage.getItem(key));
      if (!(entry.at_ms > Date.now() - KEEP_DAYS * 864e5)) storage.removeItem(key);
      else if (entry.owner === owner) ids.add(key.slice(PREFIX.length));
    }
  });
  return ids;
}
function parsed(text) {
  try {
    return Object(JSON.parse(String(text)));
  } catch (error) {
    return {};
  }
}

// src/element/icons.js
var SHEET = "M6 3h8l5 5v13H6zM14 3v5h5";
var PATHS = {
  // Kinds of files.
  file: SHEET,
  text: SHEET + "M9.5 13h6M9.5 16.5h4",
  image: "M3 5h18v14H3zM3.5 17.5 9 12l4 4 2.5-2.5 5 5M15.5 9.5h.01",
  video: "M3 6h12v12H3zM15 11l6-3.5v9L15 13",
  audio: "M9 17.5V6l10-2v11.5M9 17.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 15.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z",
  archive: "M4 8.5V20h16V8.5M3 4h18v4.5H3zM10 12.5h4",
  table: "M4 4h16v16H4zM4 9.5h16M4 14.5h16M10 9.5V20",
  // What a button does.
  pause: "M9 6v12M15 6v12",
  resume: "M8 5.5v13L18.5 12z",
  cancel: "M7 7l10 10M17 7 7 17",
  // How an upload has ended, and where files go.
  good: "M5 12.5 10 17.5 19 7",
  bad: "M12 4v9M12 20v.01",
  warn: "M12 4v8l5 4",
  upload: "M12 15.5v-11M7.5 9 12 4.5 16.5 9M4 15.5V20h16v-4.5"
};
PATHS.dismiss = PATHS.forget = PATHS.cancel;
var SVG = "http://www.w3.org/2000/svg";
function icon(name, look) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  if (look) svg.setAttribute("class", look);
  if (look) svg.setAttribute("part", look);
  svg.append(document.createElementNS(SVG, "path"));
  set_icon(svg, name);
  return svg;
}
function set_icon(svg, name) {
  const path = PATHS[name] || "";
  set(
    /** @type {Element} */
    svg.firstElementChild,
    "d",
    path
  );
  show(svg, path !== "");
}

// src/element/row.js
var TAIL = 9;
var IN_WORDS = ["retry_now", "retry", "continue", "find_file"];
var Row = class {
  /** @param {string} key */
  constructor(key) {
    this.key = key;
    this.icon = icon("file");
    this.mark = icon("", "badge");
    this.picture = h("span.icon", {}, this.icon, this.mark);
    this.stem = h("span.stem");
    this.tail = h("span.tail");
    this.whole = h("span.heard");
    this.name = h("div.name", {}, h("span.cut", { dir: "auto", "aria-hidden": "true" }, this.stem, this.tail), this.whole);
    this.facts = h("bdi.words");
    this.bar = new Bar();
    this.go = button("");
    this.stop = button("");
    this.root = h(
      "li.row",
      { tabindex: "-1", "data-key": key },
      this.picture,
      h("div.text", {}, this.name, h("div.facts", {}, this.facts)),
      this.go,
      this.stop,
      this.bar.root
    );
  }
  /** @param {RowView} row @param {Texts} texts */
  draw(row, texts) {
    const name = row.path.slice(row.path.lastIndexOf("/") + 1);
    const letters = [...name];
    put(this.stem, letters.slice(0, -TAIL).join(""));
    put(this.tail, letters.slice(-TAIL).join(""));
    put(this.whole, row.path);
    set(this.name, "title", row.path);
    set_icon(this.icon, row.kind);
    const facts = row.facts.join(" · ");
    set_icon(this.mark, row.tone);
    put(this.facts, facts);
    set(this.facts, "title", facts);
    set(this.root, "data-tone", row.tone);
    set(this.root, "class", `row${row.bar ? " moving" : ""}${row.waits ? " waits" : ""}${IN_WORDS.includes(row.go) ? " worded" : ""}`);
    this.bar.draw(row.bar, row.fraction, texts.progress_of(name));
    set_button(this.go, row.go, name, texts);
    set_button(this.stop, row.stop, name, texts);
  }
};
var Bar = class {
  constructor() {
    this.fill = h("div.fill");
    this.root = h("div.bar", { role: "progressbar" }, this.fill);
  }
  /** @param {boolean} visible @param {number} fraction @param {string} label */
  draw(visible, fraction, label2) {
    show(this.root, visible);
    set(this.root, "aria-label", label2);
    set(this.root, "aria-valuenow", String(Math.floor(100 * fraction)));
    style(this.fill, "transform", `scaleX(${fraction.toFixed(4)})`);
  }
};
function button(action, look = "square", ...children) {
  return h("button.button", { type: "button", class: look, "data-action": action }, ...children);
}
function set_button(where, action, name, texts) {
  show(where, action !== "");
  const label2 = String(
    /** @type {any} */
    texts[action]
  );
  const aria_label = `${label2}: ${name}`;
  if (!action || where.ariaLabel === aria_label) return;
  const in_words = IN_WORDS.includes(action);
  where.ariaLabel = aria_label;
  where.title = in_words ? "" : label2;
  where.className = in_words ? `${action === "continue" ? "main" : "quiet"} small` : "square";
  set(where, "data-action", action);
  where.replaceChildren(in_words ? label2 : icon(action));
}

// src/element/panel.js
var MANY = 60;
var ROWS_OUT_OF_SIGHT = 8;
var MAX_ROWS_IN_SIGHT = 40;
var FEW = 6;
var TOTAL_ACTIONS = ["retry_all", "pause_all", "resume_all", "cancel_all", "clear", "keep", "cancel_really"];
var label = (what, key, more) => h(what, { "data-text": key, ...more });
var worded = (action, look, key = action) => {
  const made = button(action, look);
  if (key) set(made, "data-text", key);
  return made;
};
var Panel = class {
  /**
   * @param {ShadowRoot} shadow
   * @param {(action: string, key: string) => void} on a button was pressed; `key` is that of its row, or ""
   * @param {(row: Row) => void} on_new_row for its picture
   */
  constructor(shadow, on, on_new_row) {
    this.shadow = shadow;
    this.view = /** @type {View | null} */
    null;
    this.texts = /** @type {Texts | null} */
    null;
    this.row_px = 0;
    this.follows = true;
    this.is_over = false;
    this.parked = /** @type {Element | null | undefined} */
    null;
    this.trouble_text = h("span", { dir: "auto" });
    this.trouble = h("div.trouble", { role: "alert", hidden: "" }, icon("bad", "badge"), this.trouble_text);
    this.continue_all = worded("continue_all", "quiet small");
    this.begun_list = h("ul.list", { role: "list" });
    this.begun = h(
      "div.begun",
      { class: "card", role: "group", "aria-labelledby": "begun" },
      h("div.head", {}, label("strong", "continue_title", { id: "begun" }), this.continue_all),
      this.begun_list
    );
    this.title = h("bdi.title");
    this.hint = h("bdi.hint");
    this.choose = button("choose", "main");
    this.folder = worded("choose_folder", "quiet");
    this.camera = worded("take_photo", "quiet");
    this.zone = h(
      "div.dropzone",
      {},
      h("span.sign", {}, icon("upload")),
      h("span.text", {}, this.title, this.hint),
      h("span.buttons", {}, this.choose, this.folder, this.camera)
    );
    this.refused_title = h("strong");
    this.refused_list = h("ul");
    this.close = button("close", "square", icon("cancel"));
    this.refused = h("div.refused", {}, icon("bad", "badge"), h("div.text", {}, this.refused_title, this.refused_list), this.close);
    this.headline = h("bdi.headline");
    this.failed = h("bdi");
    this.show_failed = button("show_failed", "link", this.failed);
    this.numbers = h("bdi");
    this.total_bar = new Bar();
    this.question = label("strong.question", "cancel_really");
    this.buttons = {};
    for (const name of TOTAL_ACTIONS) {
      const is_last = name === "cancel_really";
      this.buttons[name] = worded(name, is_last ? "danger small" : "quiet small", is_last ? "cancel_all" : name);
    }
    this.total = h(
      "div.total",
      { tabindex: "-1", role: "group" },
      h("div.sums", {}, this.headline, this.show_failed, h("div.facts", {}, this.numbers), this.question),
      h("div.buttons", {}, ...Object.values(this.buttons)),
      this.total_bar.root
    );
    this.list = h("ul.list", { role: "list" });
    this.scroller = h("div.scroller", {}, this.list);
    this.card = h("div.files", { class: "card" }, this.total, this.scroller);
    this.news = h("p.heard", { role: "status" });
    this.curtain = h("div.curtain", { hidden: "" }, icon("upload"), label("strong", "drop_now"));
    this.root = h("div.root", {}, this.trouble, this.begun, this.zone, this.refused, this.card, this.news, this.curtain);
    shadow.append(this.root);
    this.begun_rows = new Rows(this.begun_list, () => {
    });
    this.rows = new Rows(this.list, on_new_row);
    this.root.addEventListener("click", ({ target }) => {
      const pressed = (
        /** @type {Element} */
        target.closest("[data-action]")
      );
      if (pressed) on(String(pressed.getAttribute("data-action")), key_of(pressed));
    });
    this.scroller.addEventListener("scroll", () => this.draw_rows());
    for (const type of ["wheel", "touchmove", "keydown", "pointerdown"]) {
      this.scroller.addEventListener(type, () => {
        this.follows = false;
      }, { passive: true });
    }
  }
  /** @param {View} view @param {Texts} texts */
  draw(view2, texts) {
    const restore_focus = focus_of(this);
    if (this.texts !== texts) this.draw_labels(texts);
    this.view = view2;
    this.texts = texts;
    put(this.trouble_text, view2.trouble);
    show(this.trouble, view2.trouble !== "");
    show(this.begun, view2.begun.length > 0);
    show(this.continue_all, view2.continue_all);
    this.begun_rows.draw(view2.begun.map((_, index) => index), (index) => view2.begun[index], texts);
    set(this.zone, "class", `dropzone ${view2.zone}`);
    show(this.zone, view2.zone !== "");
    put(this.title, view2.title);
    put(this.hint, view2.hint);
    put(this.choose, view2.choose);
    set(this.choose, "class", view2.zone === "large" ? "main" : "quiet");
    show(this.folder, view2.directory);
    show(this.camera, view2.camera);
    show(this.refused, view2.refused.length > 0);
    put(this.refused_title, view2.refused_title);
    if (this.refused_list.textContent !== view2.refused.join("")) {
      this.refused_list.replaceChildren(...view2.refused.map((line) => h("li", { dir: "auto" }, line)));
    }
    show(this.card, view2.count > 0);
    show(this.total, view2.total !== null);
    if (view2.total) this.draw_total(view2.total, texts);
    this.draw_rows();
    this.follow(view2);
    this.root.querySelectorAll("button").forEach((each) => {
      each.disabled = view2.disabled;
    });
    this.draw_class();
    restore_focus();
  }
  /** @param {Texts} texts */
  draw_labels(texts) {
    const table = (
      /** @type {any} */
      texts
    );
    this.root.querySelectorAll("[data-text]").forEach((each) => put(each, table[String(each.getAttribute("data-text"))]));
    this.list.ariaLabel = texts.uploads;
    this.begun_list.ariaLabel = texts.continue_title;
    this.total.ariaLabel = texts.all_progress;
    this.close.ariaLabel = this.close.title = texts.close;
  }
  /** @param {NonNullable<View['total']>} total @param {Texts} texts */
  draw_total({ headline, failed, facts, tone, actions, asks, fraction }, texts) {
    put(this.headline, headline);
    put(this.failed, failed);
    show(this.show_failed, failed !== "");
    put(this.numbers, facts.join(" · "));
    set(this.total, "class", `total${asks ? " asks" : ""}`);
    set(this.total, "data-tone", tone);
    for (const name of TOTAL_ACTIONS) show(this.buttons[name], actions.includes(name));
    this.total_bar.draw(true, fraction, texts.all_progress);
  }
  draw_rows() {
    const { view: view2, texts } = this;
    if (!view2 || !texts) return;
    const { count, row_at } = view2;
    const is_many = count > MANY;
    set(this.list, "class", `list${is_many ? " many" : ""}`);
    const first = is_many ? Math.max(0, Math.floor(this.scroller.scrollTop / (this.row_px || 64)) - ROWS_OUT_OF_SIGHT) : 0;
    const length = Math.min(count - first, is_many ? MAX_ROWS_IN_SIGHT : MANY);
    const indices = Array.from({ length }, (_, index) => first + index);
    const focused = view2.index_of(key_of(this.shadow.activeElement));
    if (focused >= 0 && focused < first) indices.unshift(focused);
    if (focused >= first + length) indices.push(focused);
    this.rows.draw(indices, row_at, texts);
    if (is_many && !this.row_px) this.row_px = /** @type {HTMLElement} */
    this.list.firstElementChild.offsetHeight;
    style(this.list, "height", is_many ? `${this.row_px * count}px` : "");
    for (const index of indices) {
      const { root } = (
        /** @type {Row} */
        this.rows.all.get(row_at(index).key)
      );
      style(root, "top", is_many ? `${index * this.row_px}px` : "");
      set(root, "aria-setsize", is_many ? String(count) : null);
      set(root, "aria-posinset", is_many ? String(index + 1) : null);
    }
  }
  /** Turns to the first open upload once it is out of sight below: once for several files, since that is calmer. @param {View} view */
  follow({ count, index_of_open, row_at }) {
    const index = index_of_open();
    if (!this.follows || count < FEW || index < 0) return;
    const row = this.rows.all.get(row_at(index).key);
    const top = count > MANY || !row ? index * this.row_px : row.root.offsetTop;
    if (top > this.scroller.scrollTop + this.scroller.clientHeight - 32) this.scroll_to(top);
  }
  /** @param {number} top */
  scroll_to(top) {
    this.scroller.scrollTop = top;
    this.draw_rows();
  }
  /** Brings a row into sight, and gives it the focus. @param {number} index */
  go_to(index) {
    const { view: view2 } = this;
    if (!view2 || index < 0) return;
    if (view2.count > MANY) this.scroll_to(index * this.row_px);
    const row = this.rows.all.get(view2.row_at(index).key);
    if (row) row.go.focus();
  }
  /** @param {boolean} is_over files hang over the element, or over the page @param {boolean} anywhere */
  show_drag(is_over, anywhere) {
    show(this.curtain, is_over && anywhere);
    this.is_over = is_over && !anywhere;
    this.draw_class();
  }
  draw_class() {
    set(this.root, "class", `root${this.view && this.view.disabled ? " disabled" : ""}${this.is_over ? " over" : ""}`);
  }
  /** What the browser points at when the form can't be submitted. */
  anchor() {
    return this.zone.hidden ? this.card : this.choose;
  }
};
var Rows = class {
  /** @param {HTMLElement} list @param {(row: Row) => void} on_new */
  constructor(list, on_new) {
    this.list = list;
    this.on_new = on_new;
    this.all = /** @type {Map<string, Row>} */
    /* @__PURE__ */ new Map();
  }
  /** @param {number[]} indices of those that exist @param {(index: number) => RowView} row_at @param {Texts} texts */
  draw(indices, row_at, texts) {
    const before = this.all;
    this.all = /* @__PURE__ */ new Map();
    for (const index of indices) {
      const view2 = row_at(index);
      const row = before.get(view2.key) || new Row(view2.key);
      if (!before.delete(view2.key)) this.on_new(row);
      this.all.set(view2.key, row);
      row.draw(view2, texts);
    }
    before.forEach(({ root }) => root.remove());
    let next = this.list.firstElementChild;
    for (const { root } of this.all.values()) {
      if (root === next) next = next.nextElementSibling;
      else this.list.insertBefore(root, next);
    }
  }
};
function key_of(inside) {
  const row = inside && inside.closest("[data-key]");
  return row ? String(row.getAttribute("data-key")) : "";
}
function focus_of(panel) {
  const { shadow, buttons, total, list, choose } = panel;
  const { activeElement: element } = shadow;
  const row = element && element.closest("[data-key]");
  const rows = row && row.parentElement ? row.parentElement.children : [];
  const index = [...rows].indexOf(
    /** @type {Element} */
    row
  );
  const is_there = (each) => Boolean(each && each.getClientRects().length);
  return () => {
    if (!element || is_there(element) && shadow.activeElement === element && element !== panel.parked) return;
    const near = [row, rows[index], rows[index - 1], ...Object.values(buttons), total, choose, list.firstElementChild].find(is_there);
    const inside = near && [...near.querySelectorAll("button")].find(is_there);
    const target = (
      /** @type {HTMLElement | undefined} */
      inside || near
    );
    if (target) target.focus({ preventScroll: true });
    panel.parked = inside ? null : target;
  };
}

// src/element/pictures.js
var SIDE_PX = 80;
var KEPT = 200;
var MAX_BYTES = 5e7;
var kept = /* @__PURE__ */ new Map();
var last = (
  /** @type {Promise<unknown>} */
  Promise.resolve()
);
async function picture_of(file) {
  if (!file.type.startsWith("image/") || file.size > MAX_BYTES || typeof createImageBitmap !== "function") return null;
  let made = kept.get(file);
  if (!made) {
    made = last.then(() => draw(file)).catch(() => null);
    last = made;
    kept.set(file, made);
    if (kept.size > KEPT) kept.delete(
      /** @type {Blob} */
      kept.keys().next().value
    );
  }
  return made;
}
async function draw(file) {
  const bitmap = await createImageBitmap(file, { resizeWidth: 2 * SIDE_PX, resizeQuality: "medium" });
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE_PX;
  const context = canvas.getContext("2d");
  if (!context) return null;
  const part = Math.min(bitmap.width, bitmap.height);
  context.drawImage(bitmap, (bitmap.width - part) / 2, (bitmap.height - part) / 2, part, part, 0, 0, SIDE_PX, SIDE_PX);
  bitmap.close();
  return canvas;
}

// src/element/sources.js
var EDITABLE = "input, textarea, [contenteditable]:not([contenteditable=false])";
function listen_to_page(element) {
  const on = (event) => {
    const { type, clipboardData, dataTransfer = clipboardData } = event;
    const path = event.composedPath();
    const has_files = dataTransfer && [...dataTransfer.types].includes("Files");
    const is_free = has_files && !event.defaultPrevented && !(path[0].closest && path[0].closest(EDITABLE));
    const is_drag = type.startsWith("drag");
    const anywhere = element.hasAttribute("drop-anywhere");
    const is_near = path.some((node) => node.localName === element.localName) ? path.includes(element) : anywhere || !is_drag && type !== "drop";
    const is_here = is_free && is_near && element.takes_files;
    if (is_here) event.preventDefault();
    if (is_here && !is_drag) element.add(dataTransfer);
    if (type === "dragleave" && event.relatedTarget) return;
    if (type !== "paste") element.panel.show_drag(is_here && is_drag && type !== "dragleave", anywhere);
  };
  const guard = (event) => {
    if (event.defaultPrevented || ![...event.dataTransfer.types].includes("Files") || event.composedPath()[0].type === "file") return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
  };
  const all = (change) => {
    for (const type of ["dragenter", "dragover", "dragleave", "drop", "paste"]) document[change](type, on);
    for (const type of ["dragover", "drop"]) window[change](type, guard);
  };
  all("addEventListener");
  return () => all("removeEventListener");
}
var Inputs = class {
  /** @param {ShadowRoot} shadow @param {IncomingUpload} element */
  constructor(shadow, element) {
    const [files, folder, camera] = ["input", "folder-input", "camera-input"].map((part) => {
      const input = (
        /** @type {HTMLInputElement} */
        h("input", { type: "file", part, hidden: "" })
      );
      input.addEventListener("change", () => {
        const chosen = [...input.files || []];
        input.value = "";
        if (chosen.length) element.add(chosen);
      });
      shadow.append(input);
      return input;
    });
    folder.webkitdirectory = true;
    camera.accept = "image/*";
    this.files = files;
    this.folder = folder;
    this.camera = camera;
  }
  /** Chooses by the present attributes of the element. @param {IncomingUpload} element */
  update(element) {
    set(this.files, "accept", element.getAttribute("accept"));
    this.files.multiple = element.is_multiple;
    set(this.camera, "capture", element.getAttribute("capture"));
  }
};

// src/element/speech.js
var GATHER_MS = 300;
var QUIET_MS = 5e3;
var MANY2 = 3;
var no_news = () => ({ added: 0, finished: [], failed: [], cancelled: [], connection: null });
function sentence({ added, finished, failed, cancelled, connection }, list, texts) {
  const all_finished = !list.open && list.files === list.finished;
  return [
    added && texts.said_added(added),
    connection && texts.said_retrying(connection),
    connection === "" && list.open && texts.said_running,
    ...failed.slice(0, MANY2).map(([name, why]) => texts.said_failed(name, why)),
    failed.length > MANY2 && texts.files_failed(failed.length),
    ...cancelled.slice(0, 1).map(([name]) => texts.said_cancelled(name)),
    finished.length && (all_finished ? texts.said_all_finished(list.finished) : finished.length > 1 ? texts.said_finished_many(finished.length) : texts.said_finished(finished[0][0]))
  ].filter(Boolean).join(" ");
}
var Speech = class {
  /** @param {(news: News) => string} compose @param {Element} place where screen readers look for news */
  constructor(compose, place) {
    this.compose = compose;
    this.place = place;
    this.news = no_news();
    this.timer = 0;
    this.said_ms = -QUIET_MS;
  }
  /** @param {{added?: number, connection?: string, [state: string]: any}} more something new; it ignores other states */
  hear(more) {
    const { news } = this;
    for (const name of Object.keys(more)) {
      const known = (
        /** @type {any} */
        news[name]
      );
      if (Array.isArray(known)) known.push(more[name]);
    }
    news.added += more.added || 0;
    if (more.connection !== void 0) news.connection = more.connection;
    this.timer = this.timer || setTimeout(() => this.say(), Math.max(GATHER_MS, this.said_ms + QUIET_MS - performance.now()));
  }
  say() {
    const text = this.compose(this.news);
    this.stop();
    if (!text) return;
    this.said_ms = performance.now();
    put(this.place, text);
  }
  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.news = no_news();
  }
};

// src/element/style.css
var style_default = ':host{--_accent: var(--incoming-accent, light-dark(#2b5fd9, #8db4ff));--_on-accent: var(--incoming-on-accent, light-dark(#fff, #0c1a36));--_ink: var(--incoming-ink, light-dark(#1a1f2b, #e9ecf3));--_soft: var(--incoming-soft, light-dark(#5a6374, #a2abbc));--_line: var(--incoming-line, light-dark(#dfe3ea, #343b49));--_surface: var(--incoming-surface, light-dark(#fff, #191d25));--_tint: var(--incoming-tint, light-dark(#f4f6f9, #222732));--_good: var(--incoming-good, light-dark(#14774a, #64d19d));--_bad: var(--incoming-bad, light-dark(#bd2c22, #ff9287));--_warn: var(--incoming-warn, light-dark(#8a5a08, #e5b765));--_radius: var(--incoming-radius, 12px);display:block;color:var(--_ink);font-family:var(--incoming-font, inherit);line-height:1.4;text-align:start}:host([hidden]),[hidden]{display:none!important}*{box-sizing:border-box}.root{container-type:inline-size;display:grid;grid-template-columns:minmax(0,1fr);gap:12px}ul,p{margin:0;padding:0;list-style:none}svg{flex:none;width:20px;height:20px;fill:none;stroke:currentcolor;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}strong,.title,.headline{font-size:.9375em;font-weight:600}.text{flex:1;min-width:0}.dropzone{display:flex;align-items:center;gap:12px;padding:10px 12px;border:1.5px dashed color-mix(in srgb,var(--_soft) 45%,var(--_line));border-radius:var(--_radius);background:var(--_tint)}.sign{display:grid;flex:none;place-items:center;width:40px;height:40px;border-radius:50%;background:color-mix(in srgb,var(--_accent) 12%,transparent);color:var(--_accent)}.title,.hint{display:block;text-align:match-parent}.hint{color:var(--_soft);font-size:.875em;text-wrap:balance}.compact .hint{display:none}.buttons{display:flex;flex-wrap:wrap;gap:8px}.large{flex-direction:column;padding:36px 20px;text-align:center}.large .sign{margin:6px;scale:1.3}.large .title{font-size:1.0625em}.large .text{flex:none}.large .buttons{justify-content:center;margin-top:6px}.over .dropzone{border-color:var(--_accent);border-style:solid;background:color-mix(in srgb,var(--_accent) 10%,var(--_surface))}.curtain{position:fixed;z-index:9999;inset:12px;display:grid;place-content:center;place-items:center;gap:12px;border:2px dashed var(--_accent);border-radius:16px;background:color-mix(in srgb,var(--_surface) 90%,transparent);color:var(--_accent);font-size:1.375em;pointer-events:none}button{flex:none;display:inline-flex;align-items:center;justify-content:center;min-height:40px;margin:0;padding:0 16px;border:1px solid transparent;border-radius:calc(var(--_radius) * .67);background:none;color:inherit;font:inherit;font-size:.875em;font-weight:550;line-height:1.2;white-space:nowrap;cursor:pointer}button:hover{background:color-mix(in srgb,var(--_ink) 7%,var(--_surface))}.main,.main:hover{background:var(--_accent);color:var(--_on-accent)}.main:hover,.danger:hover{filter:brightness(.92)}.quiet{border-color:var(--_line)}.quiet:not(:hover){background:var(--_surface)}.danger,.danger:hover{background:var(--_bad);color:var(--_surface)}.small{min-height:34px;padding:0 12px;font-size:.8125em}.square{width:36px;min-height:36px;margin-inline-end:-4px;padding:0}.square,.link{border:0}.square:not(:hover){color:var(--_soft)}.square+.square{margin-inline-start:-8px}.link,.link:hover{min-height:24px;margin-inline-start:8px;padding:0;background:none;color:var(--_bad);text-decoration:underline;text-underline-offset:3px}button:disabled{opacity:.5;pointer-events:none}:focus-visible{outline:2px solid var(--_accent);outline-offset:2px}.row:focus-visible,.total:focus-visible{outline-offset:-2px}.card{border:1px solid var(--_line);border-radius:var(--_radius);background:var(--_surface);overflow:clip}.head,.total{position:relative;display:flex;flex-wrap:wrap;align-items:center;gap:8px 12px;min-height:46px;padding:6px 12px 6px 16px;border-bottom:1px solid var(--_line)}.head strong{flex:1}.scroller{scrollbar-width:thin;max-height:var(--incoming-list-height, 30em);overflow:auto}.list{position:relative}.row{position:relative;display:flex;align-items:center;gap:12px;min-height:64px;padding:10px 12px}.row+.row:before{content:"";position:absolute;inset-block-start:0;inset-inline:64px 12px;border-top:1px solid var(--_line)}.icon{display:grid;flex:none;place-items:center;width:40px;height:40px;position:relative;border-radius:8px;background:var(--_tint);color:var(--_soft)}canvas{width:100%;height:100%;border-radius:inherit}.badge{position:absolute;inset-block-end:-5px;inset-inline-end:-5px;width:18px;height:18px;padding:2px;border:2px solid var(--_surface);border-radius:50%;background:var(--_tone);color:var(--_surface);stroke-width:4}.row .text{transition:transform .2s}.moving .text{transform:translateY(-5px)}.name{font-size:.9375em;font-weight:500}.cut{display:inline-flex;max-width:100%;vertical-align:top;white-space:pre}.stem{overflow:hidden;text-overflow:ellipsis}.stem:not(:empty){min-width:1em}.tail{flex:none}.facts{color:var(--_soft);font-size:.8125em;overflow-wrap:anywhere}.facts,.headline{font-variant-numeric:tabular-nums}[data-tone=soft]{--_tone: var(--_soft)}[data-tone=good]{--_tone: var(--_good)}[data-tone=bad]{--_tone: var(--_bad)}[data-tone=warn]{--_tone: var(--_warn)}.row:is([data-tone=bad],[data-tone=warn]) .facts{color:var(--_tone)}.bar{position:absolute;bottom:9px;inset-inline:64px 12px;height:3px;border-radius:2px;background:color-mix(in srgb,var(--_ink) 10%,transparent);overflow:hidden}.fill{height:100%;border-radius:inherit;background:var(--_tone, var(--_accent));transform-origin:0;transition:transform .25s linear,background-color .2s}.fill:dir(rtl){transform-origin:100%}.waits .fill{animation:wait 2s ease-in-out infinite alternate}@keyframes wait{to{opacity:.45}}.many .row{position:absolute;inset-inline:0;height:64px;padding-block:0}.many .facts{overflow:hidden;white-space:nowrap;text-overflow:ellipsis}.total{min-height:64px;padding-block:10px 14px}.sums{flex:1;min-width:12em}.total .buttons{min-width:14em;justify-content:end}.total:not(.asks) .question,.asks .sums>:not(.question){display:none}.total .bar{inset:auto 0 0;height:4px;border-radius:0}.trouble,.refused{display:flex;gap:10px;padding:12px 16px;border-radius:var(--_radius);background:color-mix(in srgb,var(--_bad) 8%,var(--_surface));font-size:.875em;overflow-wrap:anywhere}.trouble{color:var(--_bad)}.trouble .badge,.refused .badge{position:static;--_tone: var(--_bad);border:0}.refused li{color:var(--_soft)}.refused .square{margin-block:-7px}@container (max-width: 30em){.compact .sign{display:none}.large{padding:28px 16px}.total .buttons{width:100%}.total .buttons button{flex:auto;padding:0 8px}.row{min-height:72px}.worded{display:grid;grid-template-columns:40px 1fr auto;row-gap:8px}.worded .small{grid-area:2 / 2;justify-self:start}.worded.moving{padding-bottom:22px}.worded.moving .text{transform:none}}@media(pointer:coarse){button,.small,.square{min-width:44px;min-height:44px}}@media(prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}@media(forced-colors:active){.bar{height:6px;border:1px solid}.fill{forced-color-adjust:none;background:Highlight}}';

// src/element/styles.js
var sheet;
function add_style(shadow, css) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  shadow.adoptedStyleSheets = [sheet];
}

// src/element/texts.js
var TEXTS = {
  // Adding files.
  drop_files: "Drop files here",
  drop_file: "Drop a file here",
  drop_now: "Drop to upload",
  add_files: "Add files",
  add_file: "Add a file",
  paste_files: "or paste them. Uploads resume after a lost connection.",
  paste_file: "or paste it. Uploads resume after a lost connection.",
  resumes: "Uploads resume after a lost connection.",
  choose_files: "Choose files",
  choose_file: "Choose a file",
  choose_folder: "Choose a folder",
  take_photo: "Take a photo",
  limit: (size) => `Up to ${size} for each file`,
  no_server: "The upload server does not respond. Please try again later.",
  no_tickets: "This page does not say where its upload tickets come from.",
  unreadable: "The file cannot be read.",
  not_added: (count) => count === 1 ? "1 file was not added" : `${count} files were not added`,
  and_more: (count) => `and ${count} more`,
  wrong_file: (name) => `This is not the same ${name}. Choose the file that the upload was started with.`,
  // States of a file.
  waiting: "Waiting",
  connecting: "Connecting",
  checking: "Checking the file",
  elsewhere: "Uploading in another window",
  paused: "Paused",
  waiting_for_app: "Arrived, waiting for the app to accept it",
  cancelling: "Cancelling",
  finished: "Uploaded",
  cancelled: "Cancelled",
  failed: "The upload failed.",
  retry_in: (time) => `Trying again in ${time}.`,
  left: (time) => `${time} left`,
  part_of: (percent, size) => `${percent} of ${size}`,
  // Actions.
  pause: "Pause",
  resume: "Resume",
  retry_now: "Try now",
  retry: "Try again",
  cancel: "Cancel",
  dismiss: "Remove from the list",
  pause_all: "Pause all",
  resume_all: "Resume all",
  retry_all: "Retry failed",
  cancel_all: "Cancel all",
  cancel_really: "Cancel all uploads?",
  keep: "Keep uploading",
  clear: "Clear",
  continue: "Continue",
  continue_all: "Continue all",
  find_file: "Choose the file",
  forget: "Forget this upload",
  close: "Close",
  // Everything together.
  uploads: "Uploads",
  continue_title: "Continue where you stopped",
  progress_of: (name) => `Progress of ${name}`,
  all_progress: "Progress of all files",
  files_done: (done, all) => `${done} of ${all} files uploaded`,
  files_failed: (count) => `${count} failed`,
  // For the form.
  missing: "Please upload a file.",
  busy: "Please wait until the uploads have finished.",
  // Said aloud.
  said_added: (count) => count === 1 ? "1 file added." : `${count} files added.`,
  said_finished: (name) => `${name} is uploaded.`,
  said_finished_many: (count) => `${count} files are uploaded.`,
  said_all_finished: (count) => count === 1 ? "The upload has finished." : `All ${count} files are uploaded.`,
  said_failed: (name, why) => `${name} failed. ${why}`,
  said_retrying: (why) => `${why} The uploads resume without your help.`,
  said_running: "The connection is back.",
  said_cancelled: (name) => `${name} is cancelled.`,
  units: ["bytes", "kB", "MB", "GB", "TB"],
  per_second: (size) => `${size}/s`,
  seconds: (s) => `${s} s`,
  minutes: (min) => `${min} min`,
  hours: (h2, min) => `${h2} h ${min} min`
};

// src/element/format.js
var formats = {};
function decimal(number, decimals, lang) {
  const key = lang + decimals;
  const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  try {
    formats[key] = formats[key] || new Intl.NumberFormat(lang || void 0, options);
  } catch (error) {
    formats[key] = new Intl.NumberFormat(void 0, options);
  }
  return formats[key].format(number);
}
function formats_for(texts, lang) {
  const format = {
    /** Never rounded up: 100 % means that nothing is missing. @param {number} fraction */
    percent: (fraction) => `${decimal(Math.floor(100 * fraction + 1e-9), 0, lang)} %`,
    /** @param {number} bytes */
    size(bytes) {
      const power = bytes < 1e3 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
      return `${decimal(bytes / 1e3 ** power, power ? 1 : 0, lang)} ${texts.units[power]}`;
    },
    /** @param {number} bytes_per_s */
    speed: (bytes_per_s) => texts.per_second(format.size(bytes_per_s)),
    /** @param {number} seconds rounded up */
    time(seconds) {
      const s = Math.ceil(seconds);
      const min = Math.ceil(seconds / 60);
      if (s < 60) return texts.seconds(s);
      return min < 60 ? texts.minutes(min) : texts.hours(Math.floor(min / 60), min % 60);
    }
  };
  return format;
}

// src/element/kinds.js
var KINDS = [
  ["image", /^image|\.(jpe?g|png|gif|webp|avif|hei[cf]|tiff?|svg|raw|dng|psd)$/],
  ["video", /^video|\.(mp4|mov|mkv|avi|webm|m4v|mpe?g)$/],
  ["audio", /^audio|\.(mp3|wav|flac|ogg|m4a|aac|aiff?|opus)$/],
  ["archive", /zip$|\.(tar|t?gz|bz2|xz|7z|rar|zst|iso|dmg)$/],
  ["table", /csv$|\.(tsv|xlsx?|ods)$/],
  ["text", /^text|\.(pdf|docx?|odt|txt|md|rtf|pptx?|json|xml)$/]
];
function kind_of(path, type) {
  const name = path.toLowerCase();
  const found = KINDS.find(([, pattern]) => pattern.test(type) || pattern.test(name));
  return found ? found[0] : "file";
}

// src/element/view.js
var ENDED = ["finished", "failed", "cancelled", "refused"];
var STILL = ["waiting", "asking", "paused", "cancelled", "new"];
var WAITS = ["asking", "connecting", "checking", "waiting_for_app", "cancelling"];
var has_ended = ({ state }) => ENDED.includes(state);
function view(now, texts, lang) {
  const format = formats_for(texts, lang);
  const { begun, files, refused, multiple } = now;
  const is_empty = files.length + begun.length === 0;
  return {
    trouble: now.trouble,
    zone: now.trouble ? "" : multiple || !files.length ? is_empty ? "large" : "compact" : "",
    // a single file takes its place
    disabled: now.disabled || now.trouble !== "",
    title: title_of(now, texts),
    hint: now.max_bytes ? texts.limit(format.size(now.max_bytes)) : now.touch ? texts.resumes : multiple ? texts.paste_files : texts.paste_file,
    choose: multiple ? texts.choose_files : texts.choose_file,
    directory: now.directory,
    camera: now.camera,
    refused: refused.length > 3 ? [...refused.slice(0, 3), texts.and_more(refused.length - 3)] : refused,
    refused_title: refused.length ? texts.not_added(refused.length) : "",
    begun: begun.map((upload) => begun_row(upload, texts, format)),
    continue_all: begun.filter((upload) => upload.has_handle && !upload.live).length > 1,
    total: files.length > 1 ? total_of(now, texts, format) : null,
    count: files.length,
    /** Rows are made when they are needed: a list of thousands shows a few. @param {number} index */
    row_at: (index) => row_of(files[index], now, texts, format),
    /** @param {string} key */
    index_of: (key) => files.findIndex((file) => file.key === key),
    /** The first one that has not ended, or -1. */
    index_of_open: () => files.findIndex((file) => !has_ended(file)),
    index_of_failed: () => files.findIndex(({ state }) => state === "failed")
  };
}
function title_of({ multiple, touch }, texts) {
  if (touch) return multiple ? texts.add_files : texts.add_file;
  return multiple ? texts.drop_files : texts.drop_file;
}
function row_of(file, now, texts, format) {
  const { state, bytes_acked, size } = file;
  const fraction = state === "finished" ? 1 : size ? bytes_acked / size : 0;
  return {
    key: file.key,
    path: file.path,
    kind: kind_of(file.path, file.type),
    tone: tone_of(state),
    facts: facts_of(file, fraction, now, texts, format),
    fraction,
    bar: !has_ended(file) && (bytes_acked > 0 || !STILL.includes(state)),
    waits: WAITS.includes(state),
    go: go_of(file),
    stop: has_ended(file) ? "dismiss" : file.can_cancel ? "cancel" : ""
  };
}
function tone_of(state) {
  if (state === "finished") return "good";
  if (state === "failed" || state === "refused") return "bad";
  if (state === "retrying") return "warn";
  return STILL.includes(state) || state === "elsewhere" ? "soft" : "";
}
function go_of({ state, can_pause, can_retry }) {
  if (state === "failed") return "retry";
  if (state === "paused") return "resume";
  if (state === "retrying" && can_retry) return "retry_now";
  return can_pause && !ENDED.includes(state) ? "pause" : "";
}
function facts_of(file, fraction, now, texts, format) {
  const { state, reason, message, size, bytes_acked, bytes_per_s, seconds_left, next_retry_at } = file;
  const amount = bytes_acked ? texts.part_of(format.percent(fraction), format.size(size)) : format.size(size);
  const table = (
    /** @type {Record<string, any>} */
    texts
  );
  switch (state) {
    case "finished":
      return [texts.finished, format.size(size)];
    case "failed":
    case "refused":
      return [message || texts.failed];
    case "cancelled":
      return [message || texts.cancelled];
    case "cancelling":
      return [texts.cancelling];
    case "waiting_for_app":
      return [reason ? message : texts.waiting_for_app];
    case "retrying": {
      const wait_s = next_retry_at === null ? 0 : (next_retry_at - now.now_ms) / 1e3;
      const says_soon = now.trying_again !== "" && message.endsWith(now.trying_again);
      if (!says_soon || wait_s <= 0) return [message];
      return [message.slice(0, -now.trying_again.length) + texts.retry_in(format.time(wait_s))];
    }
    case "uploading":
    case "elsewhere": {
      const speed = bytes_per_s ? [format.speed(bytes_per_s)] : [];
      const left = seconds_left === null || !bytes_per_s ? [] : [texts.left(format.time(seconds_left))];
      if (state === "elsewhere") return [texts.elsewhere, format.percent(fraction), ...left];
      if (reason) return [format.percent(fraction), message];
      return speed.length ? [format.percent(fraction), ...speed, ...left] : [amount];
    }
    case "asking":
      return [texts.connecting, amount];
    default:
      return [table[state] || texts.waiting, amount];
  }
}
function begun_row({ key, name, size, bytes_acked, has_handle, live }, texts, format) {
  const fraction = size ? bytes_acked / size : 0;
  return {
    key,
    path: name,
    kind: kind_of(name, ""),
    tone: "soft",
    facts: live ? [texts.elsewhere, format.percent(fraction)] : [texts.part_of(format.percent(fraction), format.size(size))],
    fraction,
    bar: true,
    waits: false,
    go: live ? "" : has_handle ? "continue" : "find_file",
    stop: live ? "" : "forget"
  };
}
function total_of({ files, total, asking_to_cancel }, texts, format) {
  const open = files.filter((file) => !has_ended(file));
  const fraction = total.bytes_total ? total.bytes_acked / total.bytes_total : total.finished / (total.files || 1);
  const speed = total.bytes_per_s ? [format.speed(total.bytes_per_s)] : [];
  const left = total.bytes_per_s && total.seconds_left !== null ? [texts.left(format.time(total.seconds_left))] : [];
  const can_pause = open.some((file) => file.can_pause && file.state !== "paused");
  const can_cancel = open.some((file) => file.can_cancel);
  const asks = asking_to_cancel && can_cancel;
  const possible = {
    retry_all: total.failed > 0,
    pause_all: can_pause,
    resume_all: !can_pause && open.some(({ state }) => state === "paused"),
    cancel_all: can_cancel,
    clear: !open.length
  };
  return {
    headline: texts.files_done(total.finished, total.files),
    failed: total.failed ? texts.files_failed(total.failed) : "",
    facts: open.length ? [texts.part_of(format.percent(fraction), format.size(total.bytes_total)), ...speed, ...left] : [format.size(total.bytes_acked)],
    fraction,
    tone: (
      /** @type {Tone} */
      open.length ? "" : total.failed ? "bad" : "good"
    ),
    /** Whether it asks if everything is to be cancelled. */
    asks,
    actions: asks ? ["keep", "cancel_really"] : Object.keys(possible).filter((name) => possible[name])
  };
}

// src/element/incoming_upload.js
var DRAW_MS = 200;
var COUNTDOWN_MS = 500;
var BUSY_MS = 10;
var VALUES = ["tickets", "server", "name", "accept", "max-bytes", "max-files", "at-once", "capture"];
var FLAGS = ["multiple", "directory", "disabled", "required", "drop-anywhere", "keep-awake", "warn-before-unload"];
var Base = typeof HTMLElement === "undefined" ? (
  /** @type {typeof HTMLElement} */
  /** @type {unknown} */
  class {
  }
) : HTMLElement;
var IncomingUpload = class extends Base {
  static get formAssociated() {
    return true;
  }
  static get observedAttributes() {
    return [...VALUES, ...FLAGS, "lang"];
  }
  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open", delegatesFocus: true });
    add_style(shadow, style_default);
    this.internals = this.attachInternals();
    this.panel = new Panel(shadow, (action, key) => this.act(action, key), async ({ key, icon: icon2 }) => {
      const item = this.item(key);
      const canvas = item && await picture_of(
        /** @type {File} */
        item.file
      );
      if (canvas) icon2.replaceWith(canvas);
    });
    this.inputs = new Inputs(shadow, this);
    this.own_texts = /** @type {Partial<Texts>} */
    {};
    this.all_texts = /** @type {Texts} */
    TEXTS;
    this.shared_texts = /** @type {object | undefined} */
    void 0;
    this.own_get_ticket = /** @type {GetTicket | null} */
    null;
    this.own_queue = /** @type {Queue | null} */
    null;
    this.page_queue = /** @type {Queue | null} */
    null;
    this.begun = /** @type {Unfinished[]} */
    [];
    this.wanted = /** @type {Unfinished | null} */
    null;
    this.refused = /** @type {string[]} */
    [];
    this.seen = /** @type {Map<number, ItemSnapshot>} */
    /* @__PURE__ */ new Map();
    this.tickets_now = /** @type {string[]} */
    [];
    this.is_disabled = false;
    this.asks = false;
    this.is_reset = false;
    this.is_lost = false;
    this.was_all_finished = false;
    this.stops = /** @type {(() => void)[]} */
    [];
    this.timer = 0;
    this.speech = new Speech((news) => {
      const { files, finished, waiting, running, paused } = this.queue.totals();
      return sentence(news, { files, finished, open: waiting + running + paused }, this.all_texts);
    }, this.panel.news);
  }
  // ---- in the page ----
  connectedCallback() {
    for (const name of ["queue", "get_ticket", "texts"]) {
      const values = Object.getOwnPropertyDescriptor(this, name);
      if (!values) continue;
      delete /** @type {any} */
      this[name];
      this[name] = values.value;
    }
    this.connect();
  }
  /** An element that is moved is taken out and put in again: only one that stays away is left. */
  disconnectedCallback() {
    setTimeout(() => {
      if (this.isConnected) return;
      this.leave();
      this.speech.stop();
      this.leave_queue();
    });
  }
  attributeChangedCallback() {
    this.connect();
  }
  /** Listens to what it is about, and applies its attributes. */
  connect() {
    if (!this.isConnected) return;
    this.leave();
    const { queue } = this;
    if (queue === this.own_queue) {
      queue.at_once = this.number("at-once") || 3;
      queue.restrictions = {
        accept: this.getAttribute("accept"),
        max_bytes: this.number("max-bytes"),
        max_files: this.is_multiple ? this.number("max-files") : 1,
        disallow_duplicates: true
      };
    }
    this.inputs.update(this);
    this.stops = [listen_to_page(this), queue.subscribe(() => this.draw_in(DRAW_MS))];
    if (incoming) this.stops.push(watch_unfinished((uploads) => this.offer(uploads), this.server_options));
    if (this.hasAttribute("keep-awake")) this.stops.push(keep_awake(
      /** @type {any} */
      queue
    ));
    this.draw();
  }
  leave() {
    this.stops.splice(0).forEach((stop) => stop());
    clearTimeout(this.timer);
    this.timer = 0;
  }
  /** Stops the uploads of its own queue without cancelling them: they can be continued. */
  leave_queue() {
    if (this.own_queue) this.own_queue.dispose();
    this.own_queue = null;
    this.seen.clear();
  }
  /** @param {boolean} disabled by its attribute or by a fieldset */
  formDisabledCallback(disabled) {
    this.is_disabled = disabled;
    this.draw();
  }
  /** The form is reset: the list is emptied. What runs is cancelled, since nobody would see it any more. */
  formResetCallback() {
    this.queue.cancel();
    this.is_reset = true;
    this.refused = [];
    this.draw();
  }
  // ---- the queue ----
  /** The queue of its uploads: its own, unless the page has set one. @returns {Queue} */
  get queue() {
    if (this.page_queue) return this.page_queue;
    if (!this.own_queue) {
      this.own_queue = new Queue({
        get_ticket: (item, signal) => this.ticket_of(item, signal),
        uploader_options: () => ({
          ...this.server_options,
          warn_before_unload: this.hasAttribute("warn-before-unload")
        })
      });
    }
    return this.own_queue;
  }
  /** @param {Queue | null} queue */
  set queue(queue) {
    this.leave_queue();
    this.page_queue = queue;
    this.connect();
  }
  /** @param {string} name @returns {number | null} a whole number above 0 */
  number(name) {
    return Math.max(0, Math.floor(Number(this.getAttribute(name)))) || null;
  }
  get is_multiple() {
    return this.hasAttribute("multiple") || this.hasAttribute("directory");
  }
  get takes_files() {
    return !this.is_disabled && !this.trouble;
  }
  /** Why nothing can be uploaded at all, in a sentence; else "". */
  get trouble() {
    if (!incoming) return this.all_texts.no_server;
    return this.page_queue || this.own_get_ticket || this.getAttribute("tickets") ? "" : this.all_texts.no_tickets;
  }
  /** Where the server is, if the page has said so for this element. */
  get server_options() {
    const server = this.getAttribute("server");
    return server ? { server } : {};
  }
  /** What an upload of this element is known by after a reload. */
  get owner() {
    return `${location.pathname} ${this.id || this.getAttribute("name") || ""}`;
  }
  /** @param {string} key */
  item(key) {
    return this.queue.items.find(({ id }) => String(id) === key);
  }
  /** @param {Item} item @param {AbortSignal} signal */
  async ticket_of(item, signal) {
    const begun = this.begun.find((upload) => !upload.live && incoming.matches(upload, item.file));
    const get_ticket = this.own_get_ticket || ticket_from(new URL(String(this.getAttribute("tickets")), document.baseURI));
    const ticket = begun ? begun.upload_id : await get_ticket(item, signal);
    this.begun = this.begun.filter((upload) => upload !== begun);
    own(ticket, this.owner);
    if (item.handle) remember(ticket, item.handle);
    return ticket;
  }
  // ---- adding files ----
  /** @param {import('../../queue.mjs').FileSource} source what was dropped, pasted or chosen */
  async add(source) {
    const found = files_of(source);
    const { queue, wanted } = this;
    const refused = (
      /** @type {Refusal[]} */
      []
    );
    this.wanted = null;
    this.is_reset = false;
    let began_ms = performance.now();
    for await (const { file, path, handle } of found) {
      const refusal = this.refusal_of(file, path, wanted);
      if (refusal) refused.push(refusal);
      else if (file) queue.add(file, { path, handle });
      if (performance.now() > began_ms + BUSY_MS) {
        await new Promise((resolve) => setTimeout(resolve));
        began_ms = performance.now();
      }
      if (queue !== this.page_queue && queue !== this.own_queue) return;
    }
    this.refused = refused.map(({ path, message }) => `${path}: ${message}`);
    if (refused.length) this.tell("upload-refused", { refused });
    this.draw();
  }
  /** @param {File | null} file @param {string} path @param {Unfinished | null} wanted @returns {Refusal | null} */
  refusal_of(file, path, wanted) {
    const { all_texts: texts, queue } = this;
    if (!file) return { code: "unreadable", message: texts.unreadable, file, path };
    if (wanted && !incoming.matches(wanted, file)) return { code: "not_accepted", message: texts.wrong_file(wanted.filename), file, path };
    if (!this.is_multiple) queue.clear();
    return check_file(file, queue.restrictions, queue);
  }
  /** Uploads of earlier visits: the element offers those that were begun with it. @param {Unfinished[]} uploads */
  offer(uploads) {
    const ids = owned_by(this.owner);
    const here = this.queue.items.map(({ upload_id }) => upload_id);
    this.begun = uploads.filter(({ upload_id }) => ids.has(upload_id) && !here.includes(upload_id));
    this.draw();
  }
  /** @param {Unfinished} begun */
  async reopen(begun) {
    const { handle, upload_id } = begun;
    const file = handle && await reopen(handle);
    if (file && incoming.matches(begun, file)) await this.add([{ path: file.name, file, handle }]);
    else {
      this.begun = this.begun.map((upload) => upload.upload_id === upload_id ? { ...upload, handle: null } : upload);
      this.draw();
    }
  }
  // ---- what the user does ----
  /** @param {string} action @param {string} key of its row, or "" */
  act(action, key) {
    const { queue, inputs, panel } = this;
    const item = this.item(key);
    const begun = this.begun.find(({ upload_id }) => upload_id === key);
    this.asks = action === "cancel_all";
    if (action === "choose") this.choose(null);
    if (action === "choose_folder") inputs.folder.click();
    if (action === "take_photo") inputs.camera.click();
    if (action === "close") this.refused = [];
    if (action === "pause_all") queue.pause();
    if (action === "resume_all") queue.resume();
    if (action === "retry_all") queue.retry();
    if (action === "cancel_really") queue.cancel();
    if (action === "clear") queue.clear();
    if (action === "continue_all") this.begun.forEach((upload) => upload.handle && !upload.live && this.reopen(upload));
    if (item) {
      if (action === "pause") item.pause();
      if (action === "resume" && item.can_resume) item.resume();
      else if (action === "resume" && item.uploader) item.uploader.pause("unpause");
      if (action.startsWith("retry")) item.retry();
      if (action === "cancel") item.cancel();
      if (action === "dismiss") queue.remove(item);
    }
    if (begun) {
      if (action === "continue") this.reopen(begun);
      if (action === "find_file") this.choose(begun);
      if (action === "forget") {
        this.begun = this.begun.filter((upload) => upload !== begun);
        disown(key);
        forget(key, this.server_options);
      }
    }
    this.draw();
    if (action === "show_failed" && panel.view) panel.go_to(panel.view.index_of_failed());
  }
  /** Opens the dialog for files. @param {Unfinished | null} wanted the upload whose file is to be chosen */
  async choose(wanted) {
    this.wanted = wanted;
    if ("showOpenFilePicker" in window) {
      const files = await pick_files({ accept: this.inputs.files.accept, multiple: this.is_multiple && !wanted });
      if (files.length) this.add(files);
    } else {
      this.inputs.files.click();
    }
  }
  // ---- what is shown ----
  /** @param {number} ms */
  draw_in(ms) {
    this.timer = this.timer || setTimeout(() => this.draw(), ms);
  }
  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.isConnected) return;
    const { queue } = this;
    if (this.is_reset) queue.clear();
    const { items, totals } = queue.snapshot();
    this.is_reset = this.is_reset && items.length > 0;
    const { trying_again = "", element: shared } = (
      /** @type {any} */
      incoming && incoming.texts || {}
    );
    if (this.shared_texts !== shared || this.all_texts === TEXTS) this.all_texts = { ...TEXTS, ...shared, ...this.own_texts };
    this.shared_texts = shared;
    const files = items.map(file_now);
    const near = this.closest("[lang]");
    this.compare(items);
    this.panel.draw(view({
      files,
      begun: this.begun.map(({ upload_id, filename, bytes_total, bytes_acked, handle, live }) => ({ key: upload_id, name: filename, size: bytes_total, bytes_acked, has_handle: handle !== null, live })),
      total: totals,
      refused: this.refused,
      trouble: this.trouble,
      trying_again,
      now_ms: Date.now(),
      disabled: this.is_disabled,
      multiple: this.is_multiple,
      directory: this.hasAttribute("directory"),
      camera: this.hasAttribute("capture") && matchMedia("(pointer: coarse)").matches,
      touch: matchMedia("(pointer: coarse) and (hover: none)").matches,
      max_bytes: this.number("max-bytes") || 0,
      asking_to_cancel: this.asks
    }, this.all_texts, near ? String(near.getAttribute("lang")) : ""), this.all_texts);
    this.update_form(items);
    const lost = files.find(({ state }) => state === "retrying");
    if (Boolean(lost) !== this.is_lost) this.speech.hear({ connection: lost ? lost.message : "" });
    this.is_lost = Boolean(lost);
    if (files.some(({ next_retry_at }) => next_retry_at !== null)) this.draw_in(COUNTDOWN_MS);
  }
  get texts() {
    return this.own_texts;
  }
  /** @param {Partial<Texts>} texts entries in place of those for all elements */
  set texts(texts) {
    this.own_texts = texts;
    this.all_texts = TEXTS;
    this.draw();
  }
  get get_ticket() {
    return this.own_get_ticket;
  }
  /** @param {GetTicket | null} get_ticket */
  set get_ticket(get_ticket) {
    this.own_get_ticket = get_ticket;
    this.draw();
  }
  // ---- what others hear ----
  /** Tells of what has changed since it was drawn last. @param {readonly ItemSnapshot[]} items */
  compare(items) {
    const before = this.seen;
    this.seen = new Map(items.map((item) => [item.id, item]));
    for (const { id, state, path, upload_id, message, reason } of items) {
      const old = before.get(id);
      if (!old) this.speech.hear({ added: 1 });
      if (!old || old.state === state) continue;
      const detail = { item: this.item(String(id)), upload_id, message, reason };
      if (state === "finished" || state === "cancelled") disown(upload_id);
      if (state === "finished") this.tell("upload-finished", detail);
      if (state === "failed") this.tell("upload-failed", detail);
      this.speech.hear({ [state]: [path, message] });
    }
    const value = tickets_of(items);
    const all_finished = value.length > 0 && items.every(({ state }) => state === "finished" || state === "cancelled");
    if (all_finished && !this.was_all_finished) this.tell("all-finished", { value });
    this.was_all_finished = all_finished;
  }
  /** @param {string} name @param {object} [detail] */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
  }
  // ---- the form ----
  /** The tickets of the files that the app has. */
  get value() {
    return tickets_of(this.queue.snapshot().items);
  }
  /** @param {readonly ItemSnapshot[]} items */
  update_form(items) {
    const { all_texts: texts, internals } = this;
    const value = tickets_of(items);
    const is_busy = items.some(({ ended }) => !ended);
    const is_missing = this.hasAttribute("required") && !value.length;
    internals.setValidity(
      is_busy ? { customError: true } : { valueMissing: is_missing },
      is_busy ? texts.busy : is_missing ? texts.missing : "",
      this.panel.anchor()
    );
    if (value.join() === this.tickets_now.join()) return;
    this.tickets_now = value;
    const data = new FormData();
    value.forEach((ticket) => data.append(this.getAttribute("name") || "", ticket));
    internals.setFormValue(this.hasAttribute("name") ? data : null);
    this.tell("change");
  }
};
function tickets_of(items) {
  return items.filter(({ state }) => state === "finished").map(({ upload_id }) => upload_id);
}
var { prototype } = IncomingUpload;
for (const name of [...VALUES, ...FLAGS]) {
  const is_flag = FLAGS.includes(name);
  Object.defineProperty(prototype, name.replace(/-/g, "_"), {
    configurable: true,
    /** @this {IncomingUpload} */
    get() {
      return is_flag ? this.hasAttribute(name) : this.getAttribute(name) || "";
    },
    /** @this {IncomingUpload} @param {any} value */
    set(value) {
      set(this, name, is_flag ? value ? "" : null : value === null || value === void 0 ? null : String(value));
    }
  });
}
for (const name of ["form", "labels", "validity", "validationMessage", "willValidate", "checkValidity", "reportValidity"]) {
  Object.defineProperty(prototype, name, {
    configurable: true,
    /** @this {IncomingUpload} */
    get() {
      const value = (
        /** @type {any} */
        this.internals[name]
      );
      return typeof value === "function" ? value.bind(this.internals) : value;
    }
  });
}
function define() {
  if (typeof customElements !== "undefined" && !customElements.get("incoming-upload")) {
    customElements.define("incoming-upload", IncomingUpload);
  }
}

// src/element/module.js
define();
export {
  IncomingUpload
};
