// The state of an upload: one of nine. `TRANSITIONS` is the only way from one state to another.
//
// All that a page can see follows from the state and from a few counters (properties.js). Whether there is a
// connection is a separate matter: connections come and go, and an upload that is `running` stays `running`
// without one. A state only says whether a connection is wanted (`online`), and `Upload.settle` opens or closes
// it after every event. The first message of a new connection follows from the state, too: an upload that was
// cancelled while the network was down sends its MsgCancel when the network is back.
//
// A user's cancel needs an answer, because it can come too late. Once all bytes have arrived the app may already
// have the file, and then the upload finishes.

import * as TEXTS from './texts.js';

/** @typedef {'new'|'held'|'running'|'paused'|'arrived'|'cancelling'|'finished'|'cancelled'|'failed'} State */
/** @typedef {'start'|'pause'|'unpause'|'cancel'|'arrive'|'rewind'|'abort'|'fail'|'finish'} Event */

/** The next state, by state and event. An event that is not listed has no effect. @type {Record<State, Partial<Record<Event, State>>>} */
export const TRANSITIONS = {
  new: { start: 'running', pause: 'held', cancel: 'cancelling' },
  held: { start: 'paused', unpause: 'new', cancel: 'cancelling' }, // paused before it was started
  paused: { unpause: 'running', cancel: 'cancelling' },
  running: {
    pause: 'paused', cancel: 'cancelling', arrive: 'arrived',
    abort: 'cancelled', fail: 'failed', finish: 'finished',
  },
  arrived: { rewind: 'running', abort: 'cancelled', fail: 'failed', finish: 'finished' },
  // An error that ends the upload ends it as the user wished.
  cancelling: { arrive: 'arrived', abort: 'cancelled', fail: 'cancelled', finish: 'finished' },
  finished: {},
  cancelled: {},
  failed: {},
};

/**
 * What is true in a state: the sentence for users, and whether a connection is wanted.
 * @type {Record<State, {text: string, online: boolean}>}
 */
export const STATES = {
  new: { text: TEXTS.NEW, online: false },
  held: { text: TEXTS.PAUSED, online: false },
  running: { text: TEXTS.RUNNING, online: true },
  paused: { text: TEXTS.PAUSED, online: false },
  arrived: { text: TEXTS.ARRIVED, online: true },
  cancelling: { text: TEXTS.CANCELLING, online: true },
  finished: { text: TEXTS.FINISHED, online: false },
  cancelled: { text: TEXTS.CANCELLED, online: false },
  failed: { text: TEXTS.FAILED, online: false },
};

/** The states that end an upload, with the names of their DOM events. @type {Partial<Record<State, 'finished'|'cancelled'|'error'>>} */
export const ENDINGS = { finished: 'finished', cancelled: 'cancelled', failed: 'error' };
