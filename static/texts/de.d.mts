/// <reference path="../incoming.d.ts" />
// Types of texts/de.mjs (`incoming-uploads/texts/de`): the sentences for users in German.

import type { ElementTexts } from '../element.mjs';
import type { QueueTexts } from '../queue.mjs';

/** All sentences, with those for errors of the server. */
export type GermanTexts = Required<incoming.Texts> & QueueTexts & { element: ElementTexts };

/** For `incoming.set_texts`. */
declare const german: GermanTexts;
export default german;
