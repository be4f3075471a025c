/*! react.mjs 0.3.0: hooks and a component for React. MIT license. */
// Built by scripts/build-library.mjs: make changes in static/src, which has the comments, too.
"use client";

// src/frameworks/react_element.js
import { createElement, forwardRef, useEffect, useImperativeHandle, useRef } from "react";
var ATTRIBUTES = {
  className: "class",
  maxBytes: "max-bytes",
  maxFiles: "max-files",
  atOnce: "at-once",
  dropAnywhere: "drop-anywhere",
  keepAwake: "keep-awake",
  warnBeforeUnload: "warn-before-unload"
};
var PROPERTIES = { getTicket: "get_ticket", queue: "queue", texts: "texts" };
var EVENTS = {
  onChange: "change",
  onUploadFinished: "upload-finished",
  onUploadFailed: "upload-failed",
  onUploadRefused: "upload-refused",
  onAllFinished: "all-finished"
};
var IncomingUpload = forwardRef(
  /** @param {IncomingUploadProps} props @param {import('react').ForwardedRef<any>} ref */
  function IncomingUpload2(props, ref) {
    const element = useRef(
      /** @type {any} */
      null
    );
    const latest = useRef(
      /** @type {Record<string, any>} */
      props
    );
    useImperativeHandle(ref, () => element.current, []);
    useEffect(() => {
      latest.current = props;
    });
    useEffect(() => {
      import("./element.mjs");
      const { current } = element;
      const ends = Object.entries(EVENTS).map(([prop, name]) => {
        const listener = (event) => {
          if (latest.current[prop]) latest.current[prop](event);
        };
        current.addEventListener(name, listener);
        return () => current.removeEventListener(name, listener);
      });
      return () => ends.forEach((end) => end());
    }, []);
    useEffect(() => {
      let is_wanted = true;
      customElements.whenDefined("incoming-upload").then(() => {
        if (is_wanted) Object.assign(element.current, renamed(props, PROPERTIES));
      });
      return () => {
        is_wanted = false;
      };
    }, Object.keys(PROPERTIES).map((prop) => (
      /** @type {Record<string, any>} */
      props[prop]
    )));
    return createElement("incoming-upload", { ...attributes_of(props), ref: element });
  }
);
function attributes_of(props) {
  const others = Object.entries(props).filter(([prop]) => !(prop in PROPERTIES || prop in EVENTS || prop in ATTRIBUTES));
  const all = { ...Object.fromEntries(others), ...renamed(props, ATTRIBUTES) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== false));
}
function renamed(props, names) {
  const there = Object.entries(names).filter(([prop]) => props[prop] !== void 0);
  return Object.fromEntries(there.map(([prop, name]) => [name, props[prop]]));
}

// src/frameworks/react_hooks.js
import { useCallback, useEffect as useEffect2, useMemo, useRef as useRef2, useState, useSyncExternalStore } from "react";
import { Queue } from "./queue.mjs";

// src/frameworks/source.js
var PER_FRAME = { per_frame: true };
function is_queue(source) {
  return "add_all" in source;
}

// src/frameworks/react_hooks.js
var nothing = () => {
};
function useUpload(uploader) {
  const subscribe = useCallback(
    (listener) => uploader ? uploader.subscribe(listener, PER_FRAME) : nothing,
    [uploader]
  );
  const snapshot = () => uploader ? uploader.snapshot() : null;
  return (
    /** @type {any} */
    useSyncExternalStore(subscribe, snapshot, snapshot)
  );
}
function useQueue(source) {
  const latest = useRef2(source);
  const make = () => queue_of(() => (
    /** @type {QueueOptions} */
    latest.current
  ));
  const given = is_queue(source) ? source : null;
  const [own, set_own] = useState(() => given ? null : make());
  const queue = (
    /** @type {Queue} */
    given || own
  );
  useEffect2(() => {
    latest.current = source;
    if (own && !is_queue(source)) update(own, source);
  });
  useEffect2(() => {
    if (given) return void 0;
    if (own && !own.is_disposed) return hold(own);
    set_own(make());
    return void 0;
  }, [own, given]);
  const subscribe = useCallback((listener) => queue.subscribe(listener, PER_FRAME), [queue]);
  const snapshot = () => queue.snapshot();
  const { items, totals } = useSyncExternalStore(subscribe, snapshot, snapshot);
  return useMemo(() => ({ queue, items, totals }), [queue, items, totals]);
}
function queue_of(latest) {
  return new Queue({
    ...latest(),
    get_ticket: (item, signal) => latest().get_ticket(item, signal),
    uploader_options: (item) => {
      const { uploader_options } = latest();
      return typeof uploader_options === "function" ? uploader_options(item) : uploader_options;
    },
    onchange: (item) => {
      const { onchange } = latest();
      if (onchange) onchange(item);
    }
  });
}
function update(queue, { at_once, restrictions }) {
  if (at_once !== void 0 && at_once !== queue.at_once) queue.at_once = at_once;
  queue.restrictions = restrictions || {};
}
var holders = /* @__PURE__ */ new WeakMap();
function hold(queue) {
  const count = (more) => {
    const held = (holders.get(queue) || 0) + more;
    holders.set(queue, held);
    return held;
  };
  count(1);
  return () => {
    count(-1);
    queueMicrotask(() => count(0) || queue.dispose());
  };
}
export {
  IncomingUpload,
  useQueue,
  useUpload
};
