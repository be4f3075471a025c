/*! element.mjs 0.3.0: a field that uploads files to an Incoming!! server. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
// src/element/incoming_upload.js
import incoming from "./incoming.mjs";
import { Queue, files_in, ticket_from } from "./queue.mjs";
import { forget, keep_awake, pick_with_handles, remember, reopen, watch_unfinished } from "./resume.mjs";

// src/element/dom.js
function h(what, attributes = {}, ...children) {
  const [tag, name] = what.split(".");
  const made = (
    /** @type {HTMLElement} */
    document.createElementNS(`http://www.w3.org/${/svg|path/.test(tag) ? "2000/svg" : "1999/xhtml"}`, tag)
  );
  const all = (
    /** @type {Record<string, string>} */
    { ...name && { class: name, part: name }, ...attributes }
  );
  for (const key in all) set(made, key, all[key]);
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
function style({ style: all }, name, value) {
  if (all[name] !== value) all[name] = value;
}

// src/element/now.js
function file_now(item) {
  const { id, file, state, can_pause, can_resume, can_retry, upload } = item;
  const { type, size, files_total } = (
    /** @type {incoming.Folder} */
    file
  );
  const now = { ...item, key: String(id), type, size, files_total, upload: upload || {} };
  if (state !== "running") return now;
  if (!upload) return { ...now, state: can_retry ? "retrying" : "asking" };
  return { ...now, state: upload.state, message: upload.state_msg, can_pause: can_pause || can_resume };
}
function reading_now(path, message) {
  return { key: `/${path}`, path, state: "reading", message, size: 0, files_total: 1, bytes_acked: 0, can_cancel: true, upload: {} };
}
function begun_now({ upload_id, filename, bytes_total, files_total, bytes_acked, handle, live }) {
  const state = live ? "elsewhere" : handle ? "begun" : "missing";
  return { key: upload_id, path: filename, state, message: "", size: bytes_total, files_total, bytes_acked, upload: {} };
}

// src/element/icons.js
var SHEET = "M6 3h8l5 5v13H6zM14 3v5h5";
var PATHS = {
  // Kinds of files.
  file: SHEET,
  text: SHEET + "M9 13h6M9 16h4",
  image: "M3 5h18v14H3zM3 18l6-6 4 4 3-3 5 5M15 9h.01",
  video: "M3 6h12v12H3zM15 11l6-4v10l-6-4",
  audio: "M4 10v4h4l5 4V6l-5 4zM17 9q2 3 0 6M19 6q5 6 0 12",
  archive: "M4 9v11h16V9M3 4h18v5H3zM10 13h4",
  folder: "M3 5h6l3 3h9v11H3z",
  // What a button does.
  pause: "M9 6v12M15 6v12",
  resume: "M8 6v12l10-6z",
  cancel: "M7 7l10 10M17 7L7 17",
  // How an upload has ended, and where files go.
  good: "M5 12l5 5L19 7",
  bad: "M12 4v9M12 20v.01",
  warn: "M12 4v8l5 4",
  upload: "M12 16V5M8 9l4-4 4 4M4 16v4h16v-4"
};
PATHS.dismiss = PATHS.forget = PATHS.cancel;
function icon(name, what = "svg") {
  const svg = h(what, { viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path"));
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
  show(svg, path);
}

// src/element/row.js
var TAIL = /(?<=.{4}|$)[ -~]{0,9}$/s;
var is_in_words = (action) => /^(retry|continue|find)/.test(action);
function make_row(key) {
  const picture = icon("file");
  const mark = icon("", "svg.badge");
  const stem = h("span.stem");
  const tail = h("span.tail");
  const whole = h("span.heard");
  const name = h("div.name", {}, h("span.cut", { dir: "auto", "aria-hidden": "true" }, stem, tail), whole);
  const words = h("bdi.words");
  const inside = h("bdi.inside");
  const bar = make_bar();
  const go = make_button("");
  const stop = make_button("");
  const root = h(
    "li.row",
    { tabindex: "-1", "data-key": key },
    h("span.icon", {}, picture, mark),
    h("div.text", {}, name, h("div.facts", {}, words, inside)),
    go,
    stop,
    bar.root
  );
  function draw2(row, texts) {
    const { path } = row;
    const file = path.replace(/.*\//s, "");
    const cut = file.search(TAIL);
    put(stem, file.slice(0, cut));
    put(tail, file.slice(cut));
    put(whole, path);
    set(name, "title", path);
    set_icon(picture, row.kind);
    set_icon(mark, row.tone);
    put_facts(words, row.facts);
    put_facts(inside, row.inside);
    set(inside, "class", row.lacks ? "inside lacks" : "inside");
    set(root, "data-tone", row.tone);
    set(root, "class", `row${row.bar ? " moving" : ""}${row.waits ? " waits" : ""}${is_in_words(row.go) ? " worded" : ""}`);
    bar.draw(row.bar, row.fraction, texts.progress_of(file));
    set_button(go, row.go, file, texts);
    set_button(stop, row.stop, file, texts);
  }
  return { key, root, go, picture, draw: draw2 };
}
function put_facts(where, facts) {
  const text = facts.join(" · ");
  put(where, text);
  set(where, "title", text);
}
function make_bar() {
  const fill = h("div.fill");
  const root = h("div.bar", { role: "progressbar" }, fill);
  function draw2(visible, fraction, label) {
    show(root, visible);
    set(root, "aria-label", label);
    set(root, "aria-valuenow", String(Math.floor(100 * fraction)));
    style(fill, "transform", `scaleX(${fraction.toFixed(4)})`);
  }
  return { root, draw: draw2 };
}
function make_button(action, look = "square", ...children) {
  return h("button.button", { type: "button", class: look, "data-action": action }, ...children);
}
function set_button(where, action, name, texts) {
  show(where, action);
  const label = String(
    /** @type {any} */
    texts[action]
  );
  const aria_label = `${label}: ${name}`;
  if (!action || where.ariaLabel === aria_label) return;
  const in_words = is_in_words(action);
  where.ariaLabel = aria_label;
  where.title = in_words ? "" : label;
  where.className = in_words ? `${action === "continue" ? "main" : "quiet"} small` : "square";
  set(where, "data-action", action);
  where.replaceChildren(in_words ? label : icon(action));
}

// src/element/rows.js
function make_rows(list, on_new) {
  let all = (
    /** @type {Map<string, Row>} */
    /* @__PURE__ */ new Map()
  );
  return {
    /** @param {string} key */
    get: (key) => all.get(key),
    /**
     * @param {number[]} indices of those that exist @param {(index: number) => import('./view.js').Row} row_at
     * @param {import('./texts.js').Texts} texts
     */
    draw(indices, row_at, texts) {
      const before = all;
      all = /* @__PURE__ */ new Map();
      for (const index of indices) {
        const view2 = row_at(index);
        const row = before.get(view2.key) || make_row(view2.key);
        if (!before.delete(view2.key)) on_new(row);
        all.set(view2.key, row);
        row.draw(view2, texts);
      }
      before.forEach(({ root }) => root.remove());
      let next = list.firstElementChild;
      for (const { root } of all.values()) {
        if (root === next) next = next.nextElementSibling;
        else list.insertBefore(root, next);
      }
    }
  };
}

// src/element/panel.js
var MANY = 60;
var ROWS_OUT_OF_SIGHT = 8;
var MAX_ROWS_IN_SIGHT = 40;
var FEW = 6;
var TOTAL_ACTIONS = ["retry_all", "pause_all", "resume_all", "cancel_all", "clear", "keep", "cancel_really"];
var worded = (action, look, key = action) => h("button.button", { type: "button", class: look, "data-action": action, "data-text": key });
function make_panel(shadow, on, on_new_row) {
  let view2 = (
    /** @type {View | null} */
    null
  );
  let texts = (
    /** @type {Texts | null} */
    null
  );
  let row_px = 0;
  let follows = true;
  let is_over = false;
  let parked = (
    /** @type {Element | null | undefined} */
    null
  );
  const trouble_text = h("span", { dir: "auto" });
  const trouble = h("div.trouble", { role: "alert", hidden: "" }, icon("bad", "svg.badge"), trouble_text);
  const continue_all = worded("continue_all", "quiet small");
  const begun_list = h("ul.list", { role: "list" });
  const begun = h(
    "div.begun",
    { class: "card", role: "group" },
    h("div.head", {}, h("strong", { "data-text": "continue_title" }), continue_all),
    begun_list
  );
  const title = h("bdi.title");
  const hint = h("bdi.hint");
  const choose = make_button("choose", "main");
  const folder = worded("choose_folder", "quiet");
  const camera = worded("take_photo", "quiet");
  const zone = h(
    "div.dropzone",
    {},
    h("span.sign", {}, icon("upload")),
    h("span.text", {}, title, hint),
    h("span.buttons", {}, choose, folder, camera)
  );
  const refused_title = h("strong");
  const refused_list = h("ul");
  const close = make_button("close", "square", icon("cancel"));
  const refused = h("div.refused", {}, icon("bad", "svg.badge"), h("div.text", {}, refused_title, refused_list), close);
  const headline = h("bdi.headline");
  const failed = h("bdi");
  const show_failed = make_button("show_failed", "link", failed);
  const numbers = h("bdi");
  const total_bar = make_bar();
  const buttons = TOTAL_ACTIONS.map((name) => name === "cancel_really" ? worded(name, "danger small", "cancel_all") : worded(name, "quiet small"));
  const total = h(
    "div.total",
    { tabindex: "-1", role: "group" },
    h("div.sums", {}, headline, show_failed, h("div.facts", {}, numbers), h("strong.question", { "data-text": "cancel_really" })),
    h("div.buttons", {}, ...buttons),
    total_bar.root
  );
  const list = h("ul.list", { role: "list" });
  const scroller = h("div.scroller", {}, list);
  const card = h("div.files", { class: "card" }, total, scroller);
  const news = h("p.heard", { role: "status" });
  const curtain = h("div.curtain", { class: "curtain dropzone large", hidden: "" }, icon("upload"), h("strong", { "data-text": "drop_now" }));
  const root = h("div.root", {}, trouble, begun, zone, refused, card, news, curtain);
  shadow.append(root);
  const begun_rows = make_rows(begun_list, () => {
  });
  const rows = make_rows(list, on_new_row);
  root.addEventListener("click", ({ target }) => {
    const pressed = (
      /** @type {HTMLElement | null} */
      /** @type {Element} */
      target.closest("[data-action]")
    );
    if (pressed) on(String(pressed.dataset.action), key_of(pressed));
  });
  scroller.addEventListener("scroll", draw_rows);
  for (const type of ["wheel", "keydown", "pointerdown"]) {
    scroller.addEventListener(type, () => {
      follows = false;
    }, { passive: true });
  }
  function draw2(now, table) {
    const restore_focus = remember_focus();
    if (texts !== table) draw_labels(table);
    view2 = now;
    texts = table;
    put(trouble_text, now.trouble);
    show(trouble, now.trouble);
    show(begun, now.begun.length);
    show(continue_all, now.continue_all);
    begun_rows.draw([...now.begun.keys()], (index) => now.begun[index], table);
    set(zone, "class", `dropzone ${now.zone}`);
    show(zone, now.zone);
    put(title, now.title);
    put(hint, now.hint);
    put(choose, now.choose);
    set(choose, "class", now.zone === "large" ? "main" : "quiet");
    show(folder, now.directory);
    show(camera, now.camera);
    show(refused, now.refused.length);
    put(refused_title, now.refused_title);
    if (refused_list.textContent !== now.refused.join("")) {
      refused_list.replaceChildren(...now.refused.map((line) => h("li", { dir: "auto" }, line)));
    }
    show(card, now.count);
    show(total, now.total);
    if (now.total) draw_total(now.total, table);
    draw_rows();
    follow(now);
    root.querySelectorAll("button").forEach((each) => {
      each.disabled = now.disabled;
    });
    draw_class();
    restore_focus();
  }
  function draw_labels(table) {
    root.querySelectorAll("[data-text]").forEach((each) => put(
      each,
      /** @type {any} */
      table[String(
        /** @type {HTMLElement} */
        each.dataset.text
      )]
    ));
    list.ariaLabel = table.uploads;
    begun.ariaLabel = begun_list.ariaLabel = table.continue_title;
    total.ariaLabel = table.all_progress;
    close.ariaLabel = close.title = table.close;
  }
  function draw_total(sums, table) {
    put(headline, sums.headline);
    put(failed, sums.failed);
    show(show_failed, sums.failed);
    put(numbers, sums.facts.join(" · "));
    set(total, "class", `total${sums.asks ? " asks" : ""}`);
    set(total, "data-tone", sums.tone);
    TOTAL_ACTIONS.forEach((name, index) => show(buttons[index], sums.actions.includes(name)));
    total_bar.draw(true, sums.fraction, table.all_progress);
  }
  function draw_rows() {
    if (!view2 || !texts) return;
    const { count, row_at } = view2;
    const is_many = count > MANY;
    set(list, "class", `list${is_many ? " many" : ""}`);
    const first = is_many ? scroller.scrollTop / (row_px || 64) - ROWS_OUT_OF_SIGHT : 0;
    const focused = view2.index_of(key_of(shadow.activeElement));
    const indices = [...Array(count).keys()].filter((index) => index === focused || index >= first && index < first + (is_many ? MAX_ROWS_IN_SIGHT : MANY));
    rows.draw(indices, row_at, texts);
    if (is_many && !row_px) row_px = /** @type {HTMLElement} */
    list.firstElementChild.offsetHeight;
    style(list, "height", is_many ? `${row_px * count}px` : "");
    for (const index of indices) {
      const { root: row } = (
        /** @type {Row} */
        rows.get(row_at(index).key)
      );
      style(row, "top", is_many ? `${index * row_px}px` : "");
      set(row, "aria-setsize", is_many ? String(count) : null);
      set(row, "aria-posinset", is_many ? String(index + 1) : null);
    }
  }
  function follow({ count, index_of_open, row_at }) {
    const index = index_of_open();
    if (!follows || count < FEW || index < 0) return;
    const row = rows.get(row_at(index).key);
    const top = count > MANY || !row ? index * row_px : row.root.offsetTop;
    if (top > scroller.scrollTop + scroller.clientHeight - 32) scroll_to(top);
  }
  function scroll_to(top) {
    scroller.scrollTop = top;
    draw_rows();
  }
  function go_to_failed() {
    const index = view2 ? view2.index_of_failed() : -1;
    if (!view2 || index < 0) return;
    if (view2.count > MANY) scroll_to(index * row_px);
    rows.get(view2.row_at(index).key)?.go.focus();
  }
  function show_drag(over, anywhere) {
    show(curtain, over && anywhere);
    is_over = over && !anywhere;
    draw_class();
  }
  function draw_class() {
    set(root, "class", `root${view2?.disabled ? " disabled" : ""}${is_over ? " over" : ""}`);
  }
  function remember_focus() {
    const { activeElement: element } = shadow;
    const row = element?.closest("[data-key]");
    const previous = row?.previousElementSibling;
    const next = row?.nextElementSibling;
    const is_there = (each) => each?.getClientRects().length;
    return () => {
      if (!element || is_there(element) && shadow.activeElement === element && element !== parked) return;
      const near = [row, next, previous, ...buttons, total, choose, list.firstElementChild].find(is_there);
      const inside = near && [...near.querySelectorAll("button")].find(is_there);
      const target = (
        /** @type {HTMLElement | undefined} */
        inside || near
      );
      target?.focus({ preventScroll: true });
      parked = inside ? null : target;
    };
  }
  return {
    draw: draw2,
    show_drag,
    go_to_failed,
    /** Where screen readers look for news. */
    news,
    /** What the browser points at when the form can't be submitted. */
    anchor: () => zone.hidden ? card : choose
  };
}
function key_of(inside) {
  return (
    /** @type {HTMLElement | null | undefined} */
    inside?.closest("[data-key]")?.dataset.key || ""
  );
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
  if (!file.type.startsWith("image/") || file.size > MAX_BYTES) return null;
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
  const canvas = (
    /** @type {HTMLCanvasElement} */
    h("canvas")
  );
  canvas.width = canvas.height = SIDE_PX;
  const context = (
    /** @type {CanvasRenderingContext2D} */
    canvas.getContext("2d")
  );
  const part = Math.min(bitmap.width, bitmap.height);
  context.drawImage(bitmap, (bitmap.width - part) / 2, (bitmap.height - part) / 2, part, part, 0, 0, SIDE_PX, SIDE_PX);
  bitmap.close();
  return canvas;
}

// src/element/sources.js
function listen_to_page(element) {
  const on = (event) => {
    const { type, clipboardData, dataTransfer = clipboardData } = event;
    const path = event.composedPath();
    const has_files = dataTransfer && dataTransfer.types.includes("Files");
    const is_free = has_files && !event.defaultPrevented && !path[0].matches?.(":read-write");
    const is_drag = type.startsWith("drag");
    const anywhere = element.drop_anywhere;
    const is_near = path.some((node) => node.localName === element.localName) ? path.includes(element) : anywhere || !is_drag && type !== "drop";
    const is_here = is_free && is_near && element.takes_files;
    if (is_here) event.preventDefault();
    if (is_here && !is_drag) element.take(dataTransfer, null);
    if (type === "dragleave" && event.relatedTarget) return;
    if (type !== "paste") element.panel.show_drag(is_here && is_drag && type !== "dragleave", anywhere);
  };
  const guard = (event) => {
    if (event.defaultPrevented || !event.dataTransfer.types.includes("Files") || event.composedPath()[0].type === "file") return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
  };
  const page = new AbortController();
  for (const type of ["dragenter", "dragover", "dragleave", "drop", "paste"]) document.addEventListener(type, on, page);
  for (const type of ["dragover", "drop"]) window.addEventListener(type, guard, page);
  return () => page.abort();
}
function make_inputs(shadow, element) {
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
  function update() {
    files.accept = element.accept;
    files.multiple = element.is_multiple;
    set(camera, "capture", element.capture);
  }
  return { files, folder, camera, update };
}

// src/element/speech.js
var GATHER_MS = 300;
var QUIET_MS = 5e3;
var MANY2 = 3;
function sentence({ added = [], finished = [], failed = [], cancelled = [], left_out = [], connection = [] }, totals, texts) {
  const lost = connection.at(-1);
  return [
    added.length && texts.said_added(added.reduce((sum, files) => sum + files)),
    lost && texts.said_retrying(lost),
    lost === "" && totals.waiting + totals.running + totals.paused && texts.said_running,
    ...failed.slice(0, MANY2).map(([name, why]) => texts.said_failed(name, why)),
    failed.length > MANY2 && texts.files_failed(failed.length),
    ...left_out.slice(0, MANY2).map(([name, paths]) => `${name}: ${texts.left_out(String(paths.length), paths.slice(0, MANY2).join(", "))}.`),
    ...cancelled.slice(0, 1).map(([name]) => texts.said_cancelled(name)),
    finished.length && (totals.files === totals.finished ? texts.said_all_finished(totals.finished) : finished.length > 1 ? texts.said_finished_many(finished.length) : texts.said_finished(finished[0][0]))
  ].filter(Boolean).join(" ");
}
function make_speech(compose, place) {
  let news = (
    /** @type {any} */
    {}
  );
  let timer = 0;
  let said_ms = -QUIET_MS;
  function say() {
    const text = compose(news);
    stop();
    if (!text) return;
    said_ms = performance.now();
    put(place, text);
  }
  function stop() {
    clearTimeout(timer);
    timer = 0;
    news = {};
  }
  return {
    stop,
    /** @param {{added?: number, connection?: string, [state: string]: any}} more something new */
    hear(more) {
      for (const name in more) (news[name] ||= []).push(more[name]);
      timer ||= setTimeout(say, Math.max(GATHER_MS, said_ms + QUIET_MS - performance.now()));
    }
  };
}

// src/element/style.css
var style_default = ':host{--_t:var(--incoming-accent,light-dark(#2b5fd9,#8db4ff));--_e:var(--incoming-on-accent,light-dark(#fff,#0c1a36));--_s:var(--incoming-ink,light-dark(#1a1f2b,#e9ecf3));--_i:var(--incoming-soft,light-dark(#5a6374,#a2abbc));--_n:var(--incoming-line,light-dark(#dfe3ea,#343b49));--_r:var(--incoming-surface,light-dark(#fff,#191d25));--_h:var(--incoming-tint,light-dark(#f4f6f9,#222732));--_o:var(--incoming-good,light-dark(#14774a,#64d19d));--_l:var(--incoming-bad,light-dark(#bd2c22,#ff9287));--_a:var(--incoming-warn,light-dark(#8a5a08,#e5b765));--_c:var(--incoming-radius,12px);display:block;color:var(--_s);font-family:var(--incoming-font,inherit);line-height:1.4;text-align:start}:host([hidden]),[hidden]{display:none!important}*{box-sizing:border-box}.root{container-type:inline-size;display:grid;grid-template-columns:minmax(0,1fr);gap:12px}ul,p{margin:0;padding:0;list-style:none}svg{flex:none;width:20px;fill:none;stroke:currentcolor;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}strong,.title,.headline,.name{font-size:.9375em;font-weight:600}.text{flex:1;min-width:0}.dropzone,.head,.total,.row{position:relative;display:flex;align-items:center;gap:12px;padding:12px}.sign,.icon,button{flex:none;display:inline-grid;place-items:center}.sign,.icon{position:relative;width:40px;height:40px;border-radius:8px;background:var(--_h);color:var(--_i)}.title,.hint,.inside,.many .words{display:block;text-align:match-parent;text-align:-webkit-match-parent}.dropzone{border:1.5px dashed color-mix(in srgb,var(--_i),var(--_n));border-radius:var(--_c);background:var(--_h)}.disabled .dropzone{--_t:var(--_i);color:var(--_i)}.sign{border-radius:50%;background:color-mix(in srgb,var(--_t) 10%,transparent);color:var(--_t)}.hint{color:var(--_i);font-size:.875em;text-wrap:balance}.buttons{display:flex;flex-wrap:wrap;gap:8px}.compact .hint{display:none}.large{flex-direction:column;padding:36px 20px;text-align:center}.large .sign{margin:6px;scale:1.3}.large .title{font-size:1.0625em}.large .text{flex:none}.large .buttons{justify-content:center;margin-top:6px}.over .dropzone{border-color:var(--_t);border-style:solid;background:color-mix(in srgb,var(--_t) 10%,var(--_r))}.curtain{position:fixed;z-index:99;inset:12px;justify-content:center;border-color:var(--_t);background:var(--_r);opacity:.92;color:var(--_t);font-size:1.375em;pointer-events:none}button{min-height:40px;padding:0 16px;border:1px solid transparent;border-radius:calc(var(--_c) * .67);background:none;color:inherit;font:inherit;font-size:.875em;font-weight:550;white-space:nowrap;cursor:pointer}button:not(.link):hover{box-shadow:inset 0 0 0 3em color-mix(in srgb,var(--_s) 10%,transparent)}.main{background:var(--_t);color:var(--_e)}.quiet{border-color:var(--_n);background:var(--_r)}.danger{background:var(--_l);color:var(--_r)}.small{min-height:34px;padding:0 12px;font-size:.8125em}.square{width:36px;min-height:36px;margin-inline-end:-4px;color:var(--_i)}.square,.link{padding:0;border:0}.square+.square{margin-inline-start:-8px}.link{min-height:24px;margin-inline-start:8px;color:var(--_l);text-decoration:underline}button:disabled{opacity:.5;pointer-events:none}:focus-visible{outline:2px solid var(--_t);outline-offset:2px}.row:focus-visible,.total:focus-visible{outline-offset:-2px}.card{border:1px solid var(--_n);border-radius:var(--_c);background:var(--_r);overflow:clip}.head,.total{flex-wrap:wrap;gap:8px 12px;padding-block:6px;border-bottom:1px solid var(--_n)}.head{min-height:46px}.head strong{flex:1}.scroller{scrollbar-width:thin;scrollbar-color:var(--_i) transparent;max-height:var(--incoming-list-height,30em);overflow:auto}.list{position:relative}.row{min-height:64px}.bar,.row+.row:before{position:absolute;inset-inline:64px 12px}.row+.row:before{content:"";top:0;border-top:1px solid var(--_n)}canvas{width:100%;height:100%;border-radius:inherit}.badge{position:absolute;bottom:-5px;inset-inline-end:-5px;width:18px;padding:2px;border:2px solid var(--_r);border-radius:50%;background:var(--_d);color:var(--_r);stroke-width:4}.row .text{transition:transform .2s}.moving .text{transform:translateY(-5px)}.name{font-weight:500}.cut{display:inline-flex;max-width:100%;vertical-align:top;white-space:pre}.stem,.inside,.many .words{overflow:hidden;text-overflow:ellipsis}.stem:not(:empty){min-width:1em}.tail{flex:none}.facts{color:var(--_i);font-size:.8125em;overflow-wrap:anywhere}.facts,.headline{font-variant-numeric:tabular-nums}[data-tone=soft]{--_d:var(--_i)}[data-tone=good]{--_d:var(--_o)}[data-tone=bad]{--_d:var(--_l)}[data-tone=warn]{--_d:var(--_a)}.row:is([data-tone=bad],[data-tone=warn]) .facts{color:var(--_d)}.bar{bottom:9px;height:3px;border-radius:2px;background:var(--_n);overflow:hidden}.fill{height:100%;border-radius:inherit;background:var(--_d,var(--_t));transform-origin:0;transition:.2s linear}.fill:dir(rtl){transform-origin:100%}.waits .fill{animation:wait 2s infinite alternate}@keyframes wait{to{opacity:.4}}.many .row{position:absolute;inset-inline:0;height:64px;padding-block:0}.inside,.many .words{white-space:nowrap}.many .inside{display:none}.lacks{color:var(--_a);white-space:normal}.total{min-height:64px;padding-block:10px 14px}.sums{flex:1;min-width:12em}.total .buttons{min-width:14em;justify-content:end}.total:not(.asks) .question,.asks .sums>:not(.question){display:none}.total .bar{inset:auto 0 0;height:4px;border-radius:0}.trouble,.refused{display:flex;align-items:start;gap:10px;padding:12px 16px;border-radius:var(--_c);background:color-mix(in srgb,var(--_l) 10%,var(--_r));overflow-wrap:anywhere}.trouble{color:var(--_l)}.trouble,.refused li{font-size:.875em}.trouble .badge,.refused .badge{position:static;--_d:var(--_l);border:0}.refused li{color:var(--_i)}.refused .square{margin-block:-7px}@container (max-width: 30em){.compact{flex-wrap:wrap}.compact .sign{display:none}.compact .text{flex:99 auto}.compact .buttons{flex:auto}.compact button,.total button{flex:auto;padding:0 8px}.large{padding:28px 16px}.total .buttons{width:100%}.worded{display:grid;grid-template-columns:40px 1fr auto;row-gap:8px}.worded .small{grid-area:2 / 2;justify-self:start}.worded.moving{padding-bottom:22px}.worded.moving .text{transform:none}}@media(pointer:coarse){button,.small,.square{min-width:44px;min-height:44px}.row button{margin-block:-2px}}@media(prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}@media(forced-colors:active){.bar{height:6px;border:1px solid}.fill{forced-color-adjust:none;background:Highlight}}';

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
  drop_folders: "Drop files or folders here",
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
  limit_folders: (size) => `Up to ${size} for each file or folder`,
  no_server: "The upload server does not respond. Please try again later.",
  no_tickets: "This page does not say where its upload tickets come from.",
  not_added: (count) => count === 1 ? "1 file was not added" : `${count} files were not added`,
  and_more: (count) => `and ${count} more`,
  not_the_same: (name) => `This is not the same ${name}. Choose it as it was when the upload was started.`,
  // States of a file.
  waiting: "Waiting",
  asking: "Connecting",
  elsewhere: "Uploading in another window",
  paused: "Paused",
  finished: "Uploaded",
  cancelled: "Cancelled",
  retry_in: (time) => `Trying again in ${time}.`,
  left: (time) => `${time} left`,
  part_of: (part, all) => `${part} of ${all}`,
  files: (count, digits) => count === 1 ? "1 file" : `${digits} files`,
  left_out: (count, names) => `${count} left out: ${names}`,
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
  find_folder: "Choose the folder",
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
  said_finished_many: (count) => `${count} uploads have finished.`,
  said_all_finished: (count) => count === 1 ? "The upload has finished." : `All ${count} uploads have finished.`,
  said_failed: (name, why) => `${name} failed. ${why}`,
  said_retrying: (why) => `${why} The uploads resume without your help.`,
  said_running: "The connection is back.",
  said_cancelled: (name) => `${name} is cancelled.`
};

// src/element/view.js
import { formats } from "./queue.mjs";

// src/element/kinds.js
var KINDS = [
  ["image", /^image|\.(jpe?g|png|gif|webp|hei[cf]|tiff?|svg|raw|psd)$/],
  ["video", /^video|\.(mp4|mov|mkv|avi|webm)$/],
  ["audio", /^audio|\.(mp3|wav|flac|ogg|m4a)$/],
  ["archive", /zip\||\.(zip|tar|t?gz|xz|7z|rar|zst|iso|dmg)$/],
  ["text", /^text|\.(pdf|docx?|od[st]|txt|csv|md|rtf|pptx?|xlsx?|json|xml)$/]
];
function kind_of(path, type = "", files_total = 0) {
  if (files_total) return "folder";
  const both = `${type}|${path}`.toLowerCase();
  return KINDS.find(([, pattern]) => pattern.test(both))?.[0] || "file";
}

// src/element/view.js
var STILL = { tone: "soft", is_still: true };
var WAITS = { waits: true };
var STATES = {
  waiting: STILL,
  asking: { ...STILL, ...WAITS },
  reading: STILL,
  begun: { ...STILL, go: "continue" },
  missing: { ...STILL, go: "find_file" },
  connecting: WAITS,
  checking: WAITS,
  retrying: { tone: "warn", go: "retry_now" },
  elsewhere: { tone: "soft" },
  paused: { ...STILL, go: "resume" },
  waiting_for_app: WAITS,
  cancelling: WAITS,
  finished: { tone: "good", has_ended: true },
  cancelled: { tone: "soft", has_ended: true },
  failed: { tone: "bad", has_ended: true, go: "retry" },
  refused: { tone: "bad", has_ended: true }
};
var NAMES_SHOWN = 3;
var about = ({ state }) => STATES[state] || {};
function view(now, texts, lang) {
  const format = formats(lang, texts);
  const { begun, files, refused, multiple } = now;
  const count = files.length;
  return {
    ...now,
    zone: now.trouble ? "" : multiple || !count ? count + begun.length ? "compact" : "large" : "",
    // a single file takes its place
    disabled: now.disabled || now.trouble !== "",
    title: title_of(now, texts),
    hint: now.max_bytes ? (now.directory ? texts.limit_folders : texts.limit)(format.size(now.max_bytes)) : now.touch ? texts.resumes : multiple ? texts.paste_files : texts.paste_file,
    choose: multiple ? texts.choose_files : texts.choose_file,
    refused: refused.length > 3 ? [...refused.slice(0, 3), texts.and_more(refused.length - 3)] : refused,
    refused_title: refused.length ? texts.not_added(refused.length) : "",
    begun: begun.map((upload) => row_of(upload, now, texts, format)),
    continue_all: begun.filter(({ state }) => state === "begun").length > 1,
    total: count > 1 ? total_of(now, texts, format) : null,
    count,
    /** Rows are made when they are needed: a list of thousands shows a few. @param {number} index */
    row_at: (index) => row_of(files[index], now, texts, format),
    /** @param {string} key */
    index_of: (key) => files.findIndex((file) => file.key === key),
    /** The first one that has not ended, or -1. */
    index_of_open: () => files.findIndex((file) => !about(file).has_ended),
    index_of_failed: () => files.findIndex(({ state }) => state === "failed")
  };
}
function title_of({ multiple, directory, touch }, texts) {
  if (touch) return multiple ? texts.add_files : texts.add_file;
  if (directory) return texts.drop_folders;
  return multiple ? texts.drop_files : texts.drop_file;
}
function row_of(file, now, texts, format) {
  const { state, bytes_acked, size } = file;
  const { tone = "", has_ended, is_still, waits } = about(file);
  const fraction = state === "finished" ? 1 : size ? bytes_acked / size : 0;
  return {
    key: file.key,
    path: file.path,
    kind: kind_of(file.path, file.type, file.files_total),
    tone,
    facts: facts_of(file, fraction, now, texts, format),
    inside: inside_of(file, texts, format),
    lacks: file.upload.left_out?.length,
    fraction,
    bar: !has_ended && (bytes_acked > 0 || !is_still),
    waits,
    go: go_of(file),
    stop: stop_of(file)
  };
}
function go_of(file) {
  const { go, has_ended } = about(file);
  if (go === "find_file" && file.files_total) return "find_folder";
  if (go && (go !== "retry_now" || file.can_retry)) return go;
  return file.can_pause && !has_ended ? "pause" : "";
}
function stop_of(file) {
  const { go = "", has_ended } = about(file);
  if (has_ended) return "dismiss";
  if (go === "continue" || go === "find_file") return "forget";
  return file.can_cancel ? "cancel" : "";
}
function facts_of(file, fraction, now, texts, format) {
  const { state, reason, message, size, bytes_acked, upload } = file;
  const percent = format.percent(fraction);
  const amount = bytes_acked ? texts.part_of(percent, format.size(size)) : format.size(size);
  const what = message.replace(/^([^.]*)\.$/, "$1") || /** @type {any} */
  texts[state];
  const pace = pace_of(upload, texts, format);
  switch (state) {
    case "finished":
      return [texts.finished, format.size(size)];
    case "retrying": {
      const wait_s = (Number(upload.next_retry_at) - now.now_ms) / 1e3;
      return [wait_s > 0 ? message.replace(texts.trying_again, texts.retry_in(format.time(wait_s))) : message];
    }
    case "uploading":
      if (reason) return [percent, what];
      return pace.length ? [percent, ...pace] : [amount];
    case "elsewhere":
      return [texts.elsewhere, percent, ...pace.slice(1)];
    case "begun":
    case "missing":
      return [amount];
    case "waiting":
    case "asking":
    case "connecting":
    case "checking":
    case "paused":
      return [what, amount];
    default:
      return [what];
  }
}
function pace_of({ bytes_per_s, seconds_left }, texts, format) {
  if (!bytes_per_s) return [];
  return [format.speed(bytes_per_s), ...seconds_left == null ? [] : [texts.left(format.time(seconds_left))]];
}
function inside_of({ state, files_total, upload: { files_acked, current_file = "", left_out = [] } }, texts, format) {
  if (!files_total || state === "reading") return [];
  const all = texts.files(files_total, format.count(files_total));
  const count = left_out.length;
  const names = left_out.slice(0, NAMES_SHOWN).join(", ") + (count > NAMES_SHOWN ? " " + texts.and_more(count - NAMES_SHOWN) : "");
  return [
    files_acked && files_acked < files_total ? texts.part_of(format.count(files_acked), all) : all,
    count ? texts.left_out(format.count(count), names) : "",
    state === "finished" || state === "cancelled" ? "" : current_file
  ].filter(Boolean);
}
function total_of({ files, total, asking_to_cancel }, texts, format) {
  const open = files.filter((file) => !about(file).has_ended);
  const fraction = total.frac_complete;
  const listed = files.filter(({ state }) => state !== "cancelled" && state !== "refused");
  const sum = (number_of) => format.count(listed.reduce((all, file) => all + number_of(file), 0));
  const can_pause = open.some((file) => file.can_pause && file.state !== "paused");
  const can_cancel = open.some((file) => file.can_cancel);
  const asks = asking_to_cancel && can_cancel;
  return {
    headline: texts.files_done(
      sum(({ state, files_total, upload }) => files_total ? upload.files_acked || 0 : Number(state === "finished")),
      sum(({ files_total }) => files_total || 1)
    ),
    failed: total.failed ? texts.files_failed(total.failed) : "",
    facts: open.length ? [texts.part_of(format.percent(fraction), format.size(total.bytes_total)), ...pace_of(total, texts, format)] : [format.size(total.bytes_acked)],
    fraction,
    tone: (
      /** @type {Tone} */
      open.length ? "" : total.failed ? "bad" : "good"
    ),
    /** Whether it asks if everything is to be cancelled. */
    asks,
    actions: asks ? ["keep", "cancel_really"] : [
      total.failed && "retry_all",
      can_pause ? "pause_all" : open.some(({ state }) => state === "paused") && "resume_all",
      can_cancel && "cancel_all",
      !open.length && "clear"
    ].filter(Boolean)
  };
}

// src/element/incoming_upload.js
var DRAW_MS = 200;
var COUNTDOWN_MS = 500;
var VALUES = ["tickets", "server", "name", "accept", "max-bytes", "max-files", "at-once", "capture"];
var FLAGS = ["multiple", "directory", "disabled", "required", "drop-anywhere", "keep-awake", "warn-before-unload"];
var Base = (
  /** @type {any} */
  globalThis.HTMLElement || class {
  }
);
var IncomingUpload = class extends Base {
  static formAssociated = true;
  static observedAttributes = [...VALUES, ...FLAGS, "lang"];
  own_texts = (
    /** @type {Partial<Texts>} */
    {}
  );
  all_texts = (
    /** @type {Texts} */
    { ...TEXTS }
  );
  shared_texts = (
    /** @type {object | null} */
    null
  );
  own_get_ticket = (
    /** @type {GetTicket | null} */
    null
  );
  own_queue = (
    /** @type {Queue | null} */
    null
  );
  page_queue = (
    /** @type {Queue | null} */
    null
  );
  begun = (
    /** @type {Unfinished[]} */
    []
  );
  wanted = (
    /** @type {Unfinished | null} */
    null
  );
  // the one whose file or folder is being chosen
  /** How many files of a folder are listed so far. @type {Map<string, number>} */
  reading = /* @__PURE__ */ new Map();
  is_apart = false;
  // the app takes files only: each one of a folder is an upload
  refused = (
    /** @type {string[]} */
    []
  );
  seen = (
    /** @type {Map<number, ItemSnapshot>} */
    /* @__PURE__ */ new Map()
  );
  tickets_now = "";
  name_now = "";
  // the name that the form has for them
  is_disabled = false;
  asks = false;
  // whether everything is to be cancelled
  is_reset = false;
  // what is being cancelled leaves the list
  is_lost = false;
  was_all_finished = false;
  stops = (
    /** @type {(() => void)[]} */
    []
  );
  timer = 0;
  internals = this.attachInternals();
  shadow = this.attachShadow({ mode: "open", delegatesFocus: true });
  panel = make_panel(this.shadow, (action, key) => this.act(action, key), async ({ key, picture }) => {
    const item = this.item(key);
    const canvas = item && await picture_of(
      /** @type {File} */
      item.file
    );
    if (canvas) picture.replaceWith(canvas);
  });
  inputs = make_inputs(this.shadow, this);
  speech = make_speech((news) => sentence(news, this.queue.totals(), this.all_texts), this.panel.news);
  constructor() {
    super();
    this.internals.role = "group";
    add_style(this.shadow, style_default);
  }
  // ---- in the page ----
  connectedCallback() {
    for (const name of ["queue", "get_ticket", "texts"]) {
      if (!Object.hasOwn(this, name)) continue;
      const own = (
        /** @type {any} */
        this
      );
      const value = own[name];
      delete own[name];
      own[name] = value;
    }
    this.connect();
  }
  /** An element that is moved is taken out and put in again: only one that stays away is left. */
  disconnectedCallback() {
    setTimeout(() => {
      if (this.isConnected) return;
      this.leave();
      this.speech.stop();
      this.stop_reading();
      this.own_queue?.leave_unfinished();
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
      queue.at_once = limit(this.at_once) || 3;
      queue.restrictions = {
        accept: this.accept,
        max_bytes: limit(this.max_bytes),
        max_files: this.is_multiple ? limit(this.max_files) : 1,
        disallow_duplicates: true
      };
    }
    this.inputs.update();
    this.stops = [listen_to_page(this), queue.subscribe(() => this.draw_in(DRAW_MS))];
    if (incoming) this.stops.push(watch_unfinished((uploads) => this.offer(uploads), { ...this.server_options, owner: this.owner }));
    if (this.keep_awake) this.stops.push(keep_awake(
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
  /** @param {boolean} disabled by its attribute or by a fieldset */
  formDisabledCallback(disabled) {
    this.is_disabled = disabled;
    this.draw();
  }
  /** The form is reset: the list is emptied. Running uploads are cancelled, since nobody would see them. */
  formResetCallback() {
    this.stop_reading();
    this.queue.cancel();
    this.is_reset = true;
    this.refused = [];
    this.draw();
  }
  // ---- the queue ----
  /** The queue of its uploads: its own, unless the page has set one. @returns {Queue} */
  get queue() {
    return this.page_queue || (this.own_queue ||= new Queue({
      get_ticket: (item, signal) => this.ticket_of(item, signal),
      resume_unfinished: () => this.begun.filter(({ live }) => !live),
      uploader_options: () => ({
        ...this.server_options,
        when_unreadable: "leave_out",
        // the other files of a folder are worth having, and the row names those that are missing
        warn_before_unload: this.warn_before_unload
      })
    }));
  }
  /** @param {Queue | null} queue */
  set queue(queue) {
    this.own_queue?.dispose();
    this.own_queue = null;
    this.stop_reading();
    this.seen.clear();
    this.page_queue = queue;
    this.connect();
  }
  get is_multiple() {
    return this.multiple || this.directory;
  }
  get takes_folders() {
    return this.directory && !this.is_apart && "list_folder" in incoming;
  }
  get takes_files() {
    return !this.is_disabled && !this.trouble;
  }
  /** Why nothing can be uploaded at all, in a sentence; else "". */
  get trouble() {
    if (!incoming) return this.all_texts.no_server;
    return this.page_queue || this.own_get_ticket || this.tickets ? "" : this.all_texts.no_tickets;
  }
  /** Where the server is, if the page has said so for this element. */
  get server_options() {
    return { server: this.server || void 0 };
  }
  /** What an upload of this element is known by after a reload. */
  get owner() {
    return `${location.pathname} ${this.id || this.name}`;
  }
  /** @param {string} key */
  item(key) {
    return this.queue.items.find(({ id }) => String(id) === key);
  }
  /** @param {Item} item @param {AbortSignal} signal */
  async ticket_of(item, signal) {
    const get_ticket = this.own_get_ticket || ticket_from(new URL(this.tickets, document.baseURI));
    const ticket = await get_ticket(item, signal);
    remember(ticket, item.handle, this.owner);
    return ticket;
  }
  // ---- adding files ----
  /** @param {import('../../queue.mjs').FileSource} source what was dropped, pasted or chosen */
  add(source) {
    const { wanted } = this;
    this.wanted = null;
    return this.take(source, wanted);
  }
  /** @param {import('../../queue.mjs').FileSource} source @param {Unfinished | null} wanted the upload that it has to be of */
  async take(source, wanted) {
    const { queue, reading } = this;
    this.is_reset = false;
    const { refused } = await queue.add_all(source, {
      folders: this.takes_folders || Boolean(wanted?.files_total),
      onlisting: (path, files) => {
        if (files === null) reading.delete(path);
        else reading.set(path, files);
        this.draw_in(DRAW_MS);
      },
      check: (file, path) => {
        const message = wanted && !incoming.matches(wanted, file) ? this.all_texts.not_the_same(wanted.filename) : "";
        if (message || reading !== this.reading) return { code: "not_accepted", message, file, path };
        if (!this.is_multiple) queue.clear();
        return null;
      }
    });
    if (reading !== this.reading) return;
    this.refused = refused.map(({ path, message }) => `⁨${path}⁩: ${message}`);
    if (refused.length) this.tell("upload-refused", { refused });
    this.draw();
  }
  /** Its ticket is for a file, so the app takes no folders: each of its files becomes an upload. @param {Item} item */
  take_apart(item) {
    this.is_apart = true;
    this.queue.remove(item);
    forget(item.upload_id, this.server_options);
    this.take(files_in(
      /** @type {incoming.Folder} */
      item.file
    ), null);
  }
  /** Adds nothing more of what is being read. */
  stop_reading() {
    this.reading = /* @__PURE__ */ new Map();
  }
  /** @param {Unfinished[]} uploads of earlier visits that were begun with it */
  offer(uploads) {
    this.begun = uploads;
    this.draw();
  }
  /** @param {Unfinished} begun */
  async reopen(begun) {
    const { handle, upload_id } = begun;
    if (handle && await reopen(handle)) await this.take([handle], begun);
    this.begun = this.begun.map((upload) => upload.upload_id === upload_id ? { ...upload, handle: null } : upload);
    this.draw();
  }
  // ---- what the user does ----
  /** @param {string} action @param {string} key of its row, or "" */
  act(action, key) {
    const { queue, inputs, panel } = this;
    const item = this.item(key);
    const begun = (
      /** @type {Unfinished} */
      this.begun.find(({ upload_id }) => upload_id === key)
    );
    this.asks = action === "cancel_all";
    const actions = {
      choose: () => this.choose(null),
      choose_folder: () => inputs.folder.click(),
      take_photo: () => inputs.camera.click(),
      close: () => {
        this.refused = [];
      },
      pause_all: () => queue.pause(),
      resume_all: () => queue.resume(),
      retry_all: () => queue.retry(),
      cancel_really: () => {
        queue.cancel();
        this.stop_reading();
      },
      clear: () => queue.clear(),
      continue_all: () => this.begun.forEach((upload) => upload.handle && !upload.live && this.reopen(upload)),
      continue: () => this.reopen(begun),
      find_file: () => this.choose(begun),
      find_folder: () => this.choose(begun),
      forget: () => {
        this.begun = this.begun.filter((upload) => upload !== begun);
        forget(key, this.server_options);
      },
      pause: () => item?.pause(),
      // Another window may have paused it.
      resume: () => item?.can_resume ? item.resume() : item?.uploader?.pause("unpause"),
      retry: () => item?.retry(),
      retry_now: () => item?.retry(),
      cancel: () => item ? item.cancel() : this.stop_reading(),
      dismiss: () => item && queue.remove(item)
    };
    actions[action]?.();
    this.draw();
    if (action === "show_failed") panel.go_to_failed();
  }
  /** Opens the dialog for files. @param {Unfinished | null} wanted the upload whose file or folder is to be chosen */
  async choose(wanted) {
    this.wanted = wanted;
    const { files, folder } = this.inputs;
    if (wanted?.files_total) return folder.click();
    const picked = await pick_with_handles({ accept: files.accept, multiple: this.is_multiple && !wanted });
    if (!picked) files.click();
    else if (picked.length) this.add(picked);
  }
  // ---- what is shown ----
  /** @param {number} ms */
  draw_in(ms) {
    this.timer ||= setTimeout(() => this.draw(), ms);
  }
  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.isConnected) return;
    const { queue } = this;
    if (this.is_reset) queue.clear();
    const { items, totals } = queue.snapshot();
    this.is_reset = this.is_reset && items.length > 0;
    const texts = (
      /** @type {Partial<incoming.Texts>} */
      incoming?.texts || TEXTS
    );
    if (this.shared_texts !== texts) this.all_texts = /** @type {Texts} */
    { ...texts, ...TEXTS, ...texts.element, ...this.own_texts };
    this.shared_texts = texts;
    const { all_texts } = this;
    const files = items.map(file_now).concat([...this.reading].map(([path, count]) => reading_now(path, all_texts.listing(count))));
    const here = new Set(items.map(({ upload_id }) => upload_id));
    const has_coarse_pointer = matchMedia("(pointer: coarse)").matches;
    this.compare(items);
    this.panel.draw(view({
      files,
      begun: this.begun.filter(({ upload_id }) => !here.has(upload_id)).map(begun_now),
      total: totals,
      refused: this.refused,
      trouble: this.trouble,
      now_ms: Date.now(),
      disabled: this.is_disabled,
      multiple: this.is_multiple,
      directory: this.directory,
      camera: has_coarse_pointer && this.hasAttribute("capture"),
      touch: has_coarse_pointer && matchMedia("(hover: none)").matches,
      max_bytes: limit(this.max_bytes) || 0,
      asking_to_cancel: this.asks
    }, all_texts, this.closest("[lang]")?.getAttribute("lang") || ""), all_texts);
    this.update_form(items);
    const lost = files.find(({ state }) => state === "retrying");
    if (!lost === this.is_lost) this.speech.hear({ connection: lost ? lost.message : "" });
    this.is_lost = !!lost;
    if (files.some(({ upload }) => upload.next_retry_at)) this.draw_in(COUNTDOWN_MS);
  }
  get texts() {
    return this.own_texts;
  }
  /** @param {Partial<Texts>} texts entries in place of those for all elements */
  set texts(texts) {
    this.own_texts = texts;
    this.shared_texts = null;
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
    for (const { id, item, file, state, path, upload_id, upload, message, reason } of items) {
      const old = before.get(id);
      if (!old) this.speech.hear({ added: (
        /** @type {incoming.Folder} */
        file.files_total || 1
      ) });
      if (!old || old.state === state) continue;
      if (reason === "wrong_dest_type") {
        this.take_apart(item);
        continue;
      }
      const detail = { item, upload_id, message, reason };
      const left_out = upload?.left_out;
      if (left_out?.length && state === "finished") this.speech.hear({ left_out: [path, left_out] });
      if (state === "cancelled" && upload_id) forget(upload_id, this.server_options);
      if (state === "finished") this.tell("upload-finished", detail);
      if (state === "failed") this.tell("upload-failed", detail);
      this.speech.hear({ [state]: [path, message] });
    }
    const value = tickets_of(items);
    const all_finished = value.length > 0 && !this.reading.size && items.every(({ state }) => state === "finished" || state === "cancelled");
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
    const is_busy = this.reading.size > 0 || items.some(({ ended }) => !ended);
    const is_missing = this.required && !value.length;
    internals.setValidity(
      { customError: is_busy, valueMissing: is_missing },
      is_busy ? texts.busy : is_missing ? texts.missing : "",
      this.panel.anchor()
    );
    const { name, tickets_now } = this;
    this.tickets_now = String(value);
    const is_changed = this.tickets_now !== tickets_now;
    if (!is_changed && this.name_now === name) return;
    this.name_now = name;
    const data = new FormData();
    value.forEach((ticket) => data.append(name, ticket));
    internals.setFormValue(name ? data : null);
    if (is_changed) this.tell("change");
  }
};
function limit(value) {
  return Math.max(0, Math.floor(Number(value))) || null;
}
function tickets_of(items) {
  return items.filter(({ state }) => state === "finished").map(({ upload_id }) => upload_id);
}
var { prototype } = IncomingUpload;
var property = (name, get, set2) => Object.defineProperty(prototype, name, { configurable: true, get, set: set2 });
for (const name of [...VALUES, ...FLAGS]) {
  const is_flag = FLAGS.includes(name);
  property(name.replace(/-/g, "_"), function() {
    return is_flag ? this.hasAttribute(name) : this.getAttribute(name) || "";
  }, function(value) {
    set(this, name, is_flag ? value ? "" : null : value == null ? null : String(value));
  });
}
for (const name of ["form", "labels", "validity", "validationMessage", "willValidate", "checkValidity", "reportValidity"]) {
  property(name, function() {
    const value = (
      /** @type {any} */
      this.internals[name]
    );
    return value?.bind?.(this.internals) || value;
  });
}
function define() {
  const { customElements: all } = globalThis;
  if (all && !all.get("incoming-upload")) all.define("incoming-upload", IncomingUpload);
}

// src/element/module.js
define();
export {
  IncomingUpload
};
