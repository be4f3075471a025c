// Does with app.mjs what tests/test_app.py asks for on standard input, one JSON object a line, and prints what came of it.
//
//     {"do": "read_call", "form": "id=...", "secret": "..."}

import { createInterface } from 'node:readline';
import * as app from '../../static/app.mjs';

const actions = {
  read_call: ({ form, secret }) => app.read_call(form, secret),
  answer: ({ form, secret, result, refuse }) => {
    const take = () => {
      if (refuse !== undefined) throw new app.Refuse(refuse);
      return result;
    };
    return new app.IncomingServer({ secret }).answer(form, take);
  },
  answers: () => [app.done(), app.wait(), app.refuse('no'), app.refuse(), app.try_later(3)],
  safe_file_name: ({ name }) => app.safe_file_name(name),
  secret_in_file: ({ file }) => app.secret_in_file(file),
  move_into_place: ({ moves }) => Promise.all(moves.map(([source, target]) => app.move_into_place(source, target))),
  call: ({ url, secret, token, timeout_ms, route, args }) =>
    new app.IncomingServer({ url, secret, token, timeout_ms })[route](...args),
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  try {
    const value = await actions[asked.do](asked);
    console.log(JSON.stringify({ value: value ?? null }));
  } catch (error) {
    const { name, message, code, status, retry_after_s } = error;
    console.log(JSON.stringify({ error: name, message, code, status, retry_after_s }));
  }
}
