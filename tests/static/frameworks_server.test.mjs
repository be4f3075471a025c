// What components do where pages are rendered without a window.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fragment, createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { createSSRApp, effectScope, h } from 'vue';
import { renderToString as render_vue } from 'vue/server-renderer';
import { Queue } from '../../static/queue.mjs';
import { useQueue, useUpload } from '../../static/react.mjs';
import { useQueue as use_vue_queue, useUpload as use_vue_upload } from '../../static/vue.mjs';

const get_ticket = async () => 'a ticket';

test('a component of React has an empty queue and no upload on a server', () => {
  function Uploads({ source }) {
    const { items, totals } = useQueue(source);
    return createElement(Fragment, null, `${items.length} items, ${totals.files} files, ${useUpload(null)}`);
  }
  for (const source of [{ get_ticket }, new Queue({ get_ticket })]) {
    assert.equal(renderToString(createElement(Uploads, { source })), '0 items, 0 files, null');
  }
});

test('a component of Vue has an empty queue and no upload on a server', async () => {
  const app = createSSRApp({
    setup() {
      const { items, totals } = use_vue_queue({ get_ticket });
      const upload = use_vue_upload(() => null);
      return () => h('p', `${items.value.length} items, ${totals.value.files} files, ${upload.value}`);
    },
  });
  assert.equal(await render_vue(app), '<p>0 items, 0 files, null</p>');
});

test('a queue made of options ends with its scope of Vue, and one of the page does not', () => {
  const scope = effectScope();
  const of_the_page = new Queue({ get_ticket });
  const [own, shown] = scope.run(() => [use_vue_queue({ get_ticket }), use_vue_queue(of_the_page)]);
  assert.equal(shown.queue, of_the_page);
  scope.stop();
  assert.equal(own.queue.is_disposed, true);
  assert.equal(of_the_page.is_disposed, false);
});
