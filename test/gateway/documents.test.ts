/** Documents under /docs: which exist, how they are rendered, and how they are served. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { Lexer } from 'marked';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { DOCUMENTS } from '../../src/docs/documents';
import { renderDocument } from '../../src/gateway/docs/render';
import { ServerProcess } from '../support/tapedeck-process';

setDefaultTimeout(60_000);

const ROOT = join(import.meta.dir, '../..');

function render(text: string): string {
  const document = { file: 'src/docs/reference/made.md', path: '/docs/reference/made', text };
  const pages: Record<string, string> = { 'src/docs/concepts.md': '/docs/guide/concepts' };
  const work = renderDocument(document, (file) => pages[file]);
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

test('every Markdown file of src/docs is listed, and so are the protocol, README and CHANGELOG', () => {
  const files = readdirSync(join(ROOT, 'src/docs'), { recursive: true })
    .map((name) => `src/docs/${String(name)}`)
    .filter((name) => name.endsWith('.md'));
  expect(files.length).toBeGreaterThan(5);
  const listed = new Set(DOCUMENTS.map(({ file }) => file));
  const wanted = [...files, 'protocol/README.md', 'README.md', 'CHANGELOG.md'];
  expect(wanted.filter((file) => !listed.has(file))).toEqual([]);
  expect(new Set(DOCUMENTS.map(({ path }) => path)).size).toBe(DOCUMENTS.length);
});

describe('rendering', () => {
  test('a link to a document becomes a link to its page, with its fragment', () => {
    expect(render('[a](../concepts.md#tiers)')).toContain(
      '<a href="/docs/guide/concepts#tiers">a</a>',
    );
    expect(render('[a](#part) [b](https://example.org/)')).toMatch(
      /"#part".*"https:\/\/example.org\/"/,
    );
  });

  test('links to what is not served become text: a source, a picture, another scheme', () => {
    for (const text of [
      '[a](../../config/schema.ts)',
      '![a](https://example.org/a.png)',
      '[a](javascript:alert`1`)',
      '<http://127.0.0.1:7070/>',
    ]) {
      const html = render(text);
      expect(html).toContain('<span class="source"');
      expect(html).not.toMatch(/<a |<img|href=|src=/);
    }
  });

  test('HTML is displayed as text; a comment is left out', () => {
    const html = render('a <b onclick="x()">b</b>\n\n<script>x()</script>\n\n<!-- c -->\n');
    expect(html).not.toMatch(/<b|<script|<!--/);
    expect(html).toContain('&lt;script&gt;');
  });

  test('headings have unique ids as on GitHub; a code block has none', () => {
    const html = render('# A `b`: c\n\n## Same\n\n```sh\n# no heading\n```\n\n## Same\n');
    const ids = [...html.matchAll(/ id="([^"]*)"/g)].map((match) => match[1]);
    expect(ids).toEqual(['a-b-c', 'same', 'same-1']);
  });
});

test('no step of rendering takes more than a paragraph of text', () => {
  // oxlint-disable-next-line typescript/unbound-method
  const inlineTokens = Lexer.prototype.inlineTokens;
  let depth = 0;
  let characters = 0;
  Lexer.prototype.inlineTokens = function (src, tokens) {
    if (depth === 0) characters += src.length;
    depth += 1;
    try {
      return inlineTokens.call(this, src, tokens);
    } finally {
      depth -= 1;
    }
  };
  try {
    let total = 0;
    for (const document of DOCUMENTS) {
      const work = renderDocument(document, () => undefined);
      for (let isDone = false; !isDone;) {
        characters = 0;
        isDone = work.next().done === true;
        total += characters;
        expect([document.file, characters <= 4_000]).toEqual([document.file, true]);
      }
    }
    expect(total).toBeGreaterThan(100_000);
  } finally {
    Lexer.prototype.inlineTokens = inlineTokens;
  }
});

describe('a running server', () => {
  let server: ServerProcess;
  beforeAll(async () => {
    server = await ServerProcess.start({});
  });
  afterAll(() => server.remove());

  test('a document has the security headers of the page, and the same bytes each time', async () => {
    const page = await server.get('/');
    const document = await server.get('/docs/guide/getting-started');
    for (const name of ['content-security-policy', 'cross-origin-opener-policy', 'content-type']) {
      expect([name, document.headers.get(name)]).toEqual([name, page.headers.get(name)]);
    }
    expect(document.headers.get('content-security-policy')).toContain("script-src 'self'");
    const text = await document.text();
    expect(text).toContain('<h1 id="getting-started">');
    expect(text).not.toMatch(/<script>| style=| on\w+=|\{\{/);
    expect(await (await server.get('/docs/guide/getting-started')).text()).toBe(text);
  });

  test('another path is not found, and another method is not allowed', async () => {
    for (const path of [
      '/docs/guide/none',
      '/docs/none',
      '/docs/guide/a/b',
      '/docs/guide/..%2f..',
    ]) {
      expect([path, (await server.get(path)).status]).toEqual([path, 404]);
    }
    expect((await server.get('/docs/guide', { method: 'POST' })).status).toBe(405);
  });
});
