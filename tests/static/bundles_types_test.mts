// Read by the compiler, and never run: what each bundle exports is what its types promise.

import * as element from '../../static/element.mjs';
import * as element_source from '../../static/src/element/module.js';
import * as queue from '../../static/queue.mjs';
import * as queue_source from '../../static/src/queue/module.js';
import * as resume from '../../static/resume.mjs';
import * as resume_source from '../../static/src/resume/module.js';

/** true if both have the same names. */
type Same<A, B> = [keyof A, keyof B] extends [keyof B, keyof A] ? true : false;

const as_promised: typeof queue = queue_source;
const nothing_else: Same<typeof queue, typeof queue_source> = true;
const resume_as_promised: typeof resume = resume_source;
const resume_nothing_else: Same<typeof resume, typeof resume_source> = true;
const element_nothing_else: Same<typeof element, typeof element_source> = true;
/** What pages see of the element. Attributes and what each field of a form has are made in a loop. */
type Members = 'get_ticket' | 'queue' | 'texts' | 'value' | 'add';
const element_as_promised: (made: element_source.IncomingUpload) => Pick<element.IncomingUpload, Members> = (made) => made;
void [as_promised, nothing_else, resume_as_promised, resume_nothing_else, element_nothing_else, element_as_promised];

incoming.set_texts({ too_large: (limit) => `Höchstens ${limit}.`, paused: 'Angehalten.' });
// @ts-expect-error it has a parameter
incoming.set_texts({ too_many: (limit: Date) => `${limit}` });
