// The state of an upload: one of ten. `TRANSITIONS` is the only way from one state to another.
//
// All that a page can see follows from the state and from a few counters (properties.js). Whether there is a
// connection is a separate matter: connections come and go, and an upload that is `running` stays `running`
// without one. A state only says whether a connection is wanted (`online`), and `Upload.settle` opens or closes
// it after every event. The first message of a new connection follows from the state, too: an upload that was
// cancelled while the network was down sends its MsgCancel when the network is back.
//
// A user's cancel needs an answer, because it can come too late. Once all bytes have arrived the app may already
// have the file, and then the upload finishes.

/** @typedef {'new'|'held'|'running'|'paused'|'arrived'|'cancelling'|'finished'|'cancelled'|'failed'|'disposed'} State */
/** @typedef {'start'|'pause'|'unpause'|'cancel'|'arrive'|'rewind'|'abort'|'fail'|'finish'|'dispose'} Event */

/** The next state, by state and event. An event that is not listed has no effect. @type {Record<State, Partial<Record<Event, State>>>} */
export const TRANSITIONS = {
  new: { start: 'running', pause: 'held', cancel: 'cancelling', dispose: 'disposed' },
  held: { start: 'paused', unpause: 'new', cancel: 'cancelling', dispose: 'disposed' }, // paused before it was started
  paused: { unpause: 'running', cancel: 'cancelling', dispose: 'disposed' },
  running: {
    pause: 'paused', cancel: 'cancelling', arrive: 'arrived',
    abort: 'cancelled', fail: 'failed', finish: 'finished', dispose: 'disposed',
  },
  arrived: { rewind: 'running', abort: 'cancelled', fail: 'failed', finish: 'finished', dispose: 'disposed' },
  // An error that ends the upload ends it as the user wished.
  cancelling: { arrive: 'arrived', abort: 'cancelled', fail: 'cancelled', finish: 'finished', dispose: 'disposed' },
  finished: {},
  cancelled: {},
  failed: {},
  disposed: {},
};

/**
 * What is true in a state: the one that pages see, unless situation.js knows more, and whether a connection is wanted.
 * @type {Record<State, {shown: incoming.State, online: boolean}>}
 */
export const STATES = {
  new: { shown: 'new', online: false },
  held: { shown: 'paused', online: false },
  running: { shown: 'uploading', online: true },
  paused: { shown: 'paused', online: false },
  arrived: { shown: 'waiting_for_app', online: true },
  cancelling: { shown: 'cancelling', online: true },
  finished: { shown: 'finished', online: false },
  cancelled: { shown: 'cancelled', online: false },
  failed: { shown: 'failed', online: false },
  disposed: { shown: 'disposed', online: false },
};

/** The states that end an upload, with the names of their DOM events. @type {Partial<Record<State, 'finished'|'cancelled'|'error'>>} */
export const ENDINGS = { finished: 'finished', cancelled: 'cancelled', failed: 'error' };
