// `<incoming-upload>` as a component.

import { createElement, forwardRef, useEffect, useImperativeHandle, useRef } from 'react';

/** @typedef {import('../../react.mjs').IncomingUploadProps} IncomingUploadProps */

/** Props of `<incoming-upload>` that are not attributes of the same name. @type {Record<string, string>} */
const ATTRIBUTES = {
  className: 'class', maxBytes: 'max-bytes', maxFiles: 'max-files', atOnce: 'at-once',
  dropAnywhere: 'drop-anywhere', keepAwake: 'keep-awake', warnBeforeUnload: 'warn-before-unload',
};
/** @type {Record<string, string>} */
const PROPERTIES = { getTicket: 'get_ticket', queue: 'queue', texts: 'texts' };
/** @type {Record<string, string>} */
const EVENTS = {
  onChange: 'change', onUploadFinished: 'upload-finished', onUploadFailed: 'upload-failed',
  onUploadRefused: 'upload-refused', onAllFinished: 'all-finished',
};

/** `<incoming-upload>`: its attributes, properties and events are props, in the spelling of React. */
export const IncomingUpload = forwardRef(
  /** @param {IncomingUploadProps} props @param {import('react').ForwardedRef<any>} ref */
  function IncomingUpload(props, ref) {
    const element = useRef(/** @type {any} */ (null));
    const latest = useRef(/** @type {Record<string, any>} */ (props));
    useImperativeHandle(ref, () => element.current, []);
    useEffect(() => {
      latest.current = props;
    });
    useEffect(() => {
      import('../../element.mjs'); // defines it
      const { current } = element;
      const ends = Object.entries(EVENTS).map(([prop, name]) => {
        const listener = (/** @type {Event} */ event) => {
          if (latest.current[prop]) latest.current[prop](event);
        };
        current.addEventListener(name, listener);
        return () => current.removeEventListener(name, listener);
      });
      return () => ends.forEach((end) => end());
    }, []);
    useEffect(() => {
      let is_wanted = true;
      customElements.whenDefined('incoming-upload').then(() => {
        if (is_wanted) Object.assign(element.current, renamed(props, PROPERTIES));
      });
      return () => {
        is_wanted = false;
      };
    }, Object.keys(PROPERTIES).map((prop) => /** @type {Record<string, any>} */ (props)[prop]));
    return createElement('incoming-upload', { ...attributes_of(props), ref: element });
  },
);

/** What is false is left out: React 18 would write it. @param {Record<string, any>} props */
function attributes_of(props) {
  const others = Object.entries(props).filter(([prop]) => !(prop in PROPERTIES || prop in EVENTS || prop in ATTRIBUTES));
  const all = { ...Object.fromEntries(others), ...renamed(props, ATTRIBUTES) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== false));
}

/** The props that are there, by their other names. @param {Record<string, any>} props @param {Record<string, string>} names */
function renamed(props, names) {
  const there = Object.entries(names).filter(([prop]) => props[prop] !== undefined);
  return Object.fromEntries(there.map(([prop, name]) => [name, props[prop]]));
}
