/**
 * The README and the documents, executed as written, except for the port: each block of commands by bash in a
 * folder that looks like the project, each snippet by its own runtime.
 */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

import { CHROMIUM, launch, open, TEST_MS_MAX } from './browser';
import { PYTHON } from '../support/python';
import { Scratch, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';
import { testDeep } from '../support/tier';

const ROOT = join(import.meta.dir, '../..');
const DOCUMENTS = [
  'README.md',
  'src/docs/how-to.md',
  'src/docs/clients.md',
  'src/docs/getting-started.md',
];
const SECTIONS = DOCUMENTS.flatMap((name) =>
  readFileSync(join(ROOT, name), 'utf8').split(/^#{2,3} /m),
);
const scratch = new Scratch();
const folder = scratch.fresh();

setDefaultTimeout(TEST_MS_MAX);
const hasSqlite = Bun.which('sqlite3') !== null;

if (!hasSqlite) console.warn('SKIPPED: the queries of the journal need the shell sqlite3');

/** The blocks of a language under a heading. */
function blocks(heading: string, language: string): string[] {
  const section = SECTIONS.find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`no document has a section ${heading}`);
  const pattern = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g');
  const found = [...section.matchAll(pattern)].map((match) => match[1]!);
  if (found.length === 0) throw new Error(`${heading} has no block of ${language}`);
  return found;
}

/** Runs the commands of a document, except those that start a server, because the test has started it. */
async function run(commands: string, server?: ServerProcess): Promise<string> {
  const port = server === undefined ? '7070' : new URL(server.url).port;
  const text = commands
    .split('\n')
    .filter((line) => !/^bun tapedeck serve\b/.test(line))
    .join('\n')
    .replaceAll('127.0.0.1:7070', `127.0.0.1:${port}`)
    .replaceAll('npx -y bun@1.4.5', 'bun')
    .replaceAll(
      /^(bun tapedeck (?:tail|book|import .*--to).*?)( #.*)?$/gm,
      (line, command: string) =>
        line.includes('--to') ? line : `${command} --url http://127.0.0.1:${port}`,
    );
  const shell = Bun.spawn(['bash', '-euo', 'pipefail', '-c', text], {
    cwd: folder,
    env: { PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter) },
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: 60_000,
  });
  const [out, err] = await Promise.all([
    new Response(shell.stdout).text(),
    new Response(shell.stderr).text(),
  ]);
  expect([await shell.exited, err]).toEqual([0, expect.anything()]);
  return out;
}

/** Runs a program until its output matches. */
async function runUntil(command: readonly string[], words: RegExp): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd: folder,
    stdout: 'pipe',
    stderr: 'inherit',
    timeout: 60_000,
  });
  let text = '';
  for await (const chunk of child.stdout) {
    text += Buffer.from(chunk).toString();
    if (words.test(text)) break;
  }
  child.kill();
  expect(text).toMatch(words);
  return text;
}

beforeAll(() => {
  mkdirSync(join(folder, 'data'), { recursive: true });
  for (const name of [
    'src',
    'protocol',
    'fixtures',
    'node_modules',
    'package.json',
    'tsconfig.json',
  ]) {
    symlinkSync(join(ROOT, name), join(folder, name));
  }
});
afterAll(() => scratch.remove());

describe('a recording', () => {
  let server: ServerProcess;

  beforeAll(async () => {
    const [commands] = blocks('Import a recording', 'sh');
    const [replay] = commands!.split('\n');
    expect(await run(replay!)).toContain(' 0 refused');
    server = await ServerProcess.start({ data: join(folder, 'data/recorded') });
  });
  afterAll(() => server.remove());

  test('Import a recording', async () => {
    const [commands] = blocks('Import a recording', 'sh');
    const asked = commands!.split('\n').filter((line) => line.startsWith('curl'));
    expect(JSON.parse(await run(asked.join('\n'), server))).toMatchObject({ symbol: 'ACMEUSDT' });
  });

  test('Query a past time', async () => {
    const out = await run(blocks('Query a past time', 'sh')[0]!, server);
    expect(out).toMatch(/^ACMEUSDT {2}seq \d+ {2}l3/);
    expect(out).toContain('"bars":[{');
  });

  test('Verify a journal', async () => {
    const out = await run(blocks('Verify a journal', 'sh')[0]!);
    expect(out.match(/"stateHash":"[0-9a-f]{16}"/g)).toHaveLength(2);
  });

  testDeep('Export records', async () => {
    expect(await run(blocks('Export records', 'sh')[0]!)).toContain(' 0 refused');
    expect(
      readFileSync(join(folder, 'data/trades.csv'), 'utf8').split('\n').length,
    ).toBeGreaterThan(2);
  });
});

describe('a feed', () => {
  testDeep('Publish a feed, and replay at ×10', async () => {
    const [make, send] = blocks('Publish a feed', 'sh');
    const [command] = make!.split('\n');
    const key = (await run(`${command}; echo $KEY`)).trim();
    const server = await ServerProcess.start({ data: join(folder, 'data/feed'), keys: null });
    try {
      const out = await run(`KEY=${key}\n${send}`, server);
      expect(out).toMatch(/"events":3,"skipped":0/);
      expect(out).toMatch(/ lines: .* 0 refused\n\d+ events in /);
      const [replay] = blocks('Replay at ×10', 'sh');
      expect(await run(`KEY=${key}\n${replay}`, server)).toContain(' 0 refused');
    } finally {
      await server.remove();
    }
  });
});

describe('the demo', () => {
  let server: ServerProcess;

  beforeAll(async () => {
    server = await ServerProcess.start({ data: join(folder, 'data'), args: ['--demo'] });
    await until(async () => {
      const asked = ['BTC-USD', 'ACME'].map((symbol) => server.get(`/v1/tick/${symbol}`));
      return (await Promise.all(asked)).every(({ status }) => status === 200);
    });
  });
  afterAll(() => server.remove());

  test('The first quarter of an hour', async () => {
    const commands = blocks('The first quarter of an hour', 'sh')[0]!.split('\n');
    const tail = commands.find((line) => line.includes(' tail '))!;
    const out = await run(commands.filter((line) => line !== tail).join('\n'), server);
    expect(out).toContain('"bids":[[');
    expect(out).toMatch(/^bid /m);
    const [topic] = /'[^']+'/.exec(tail)!;
    const args = ['tail', topic.slice(1, -1), '--url', server.url];
    await runUntil([process.execPath, 'src/main.ts', ...args], / trade /);
  });

  testDeep('TypeScript', async () => {
    const [code] = blocks('TypeScript', 'ts');
    writeFileSync(join(folder, 'follow.ts'), code!);
    await runUntil([process.execPath, 'follow.ts', server.url], /best bid \d/);
  });

  test.skipIf(CHROMIUM === undefined)('A page of your own', async () => {
    const heading = 'A page of your own';
    writeFileSync(join(folder, 'follow.html'), blocks(heading, 'html')[0]!);
    const bundler = Bun.spawn([process.execPath, 'follow.html', '--port=0'], {
      cwd: folder,
      stdout: 'pipe',
      stderr: 'inherit',
    });
    const browser = await launch();
    let allowing: ServerProcess | undefined;
    try {
      let text = '';
      for await (const chunk of bundler.stdout) {
        text += Buffer.from(chunk).toString();
        if (/http:\S+/.test(text)) break;
      }
      const { href, origin } = new URL(/http:\S+/.exec(text)![0]);
      const config = blocks(heading, 'toml')[0]!.replace('http://localhost:3000', origin);
      allowing = await ServerProcess.start({ config, args: ['--demo'] });
      const code = blocks(heading, 'ts')[0]!.replace('http://127.0.0.1:7070', allowing.url);
      writeFileSync(join(folder, 'browser.ts'), code);
      const { page, errors } = await open(browser, href);
      await page.waitForFunction(() => /^\d/.test(document.querySelector('#best')!.textContent));
      expect(errors).toEqual([]);
    } finally {
      await browser.close();
      bundler.kill();
      await allowing?.remove();
    }
  });

  test.skipIf(PYTHON === undefined)('Python', async () => {
    const [code] = blocks('Python', 'python');
    writeFileSync(join(folder, 'follow.py'), code!);
    const url = server.url.replace('http', 'ws');
    const out = await runUntil(
      [PYTHON!, '-u', 'follow.py', url, 'BTC-USD'],
      /(best [\d.]+ [\d.]+\n[\s\S]*){20}/,
    );
    expect(out).not.toContain('missing');
  });

  test('Enter an order', async () => {
    const lines = blocks('Enter an order', 'sh')[0]!.trim().split('\n');
    const [enter, list, ended, one, cancel] = lines;
    const order = JSON.parse(await run(enter!, server)) as { orderId: number };
    expect(await run(list!, server)).toContain(`"orderId":${order.orderId}`);
    const cancelled = await run(cancel!.replace('ORDER_ID', String(order.orderId)), server);
    expect(JSON.parse(cancelled)).toMatchObject({ status: 'cancelled' });
    for (const again of [ended, one]) {
      expect(await run(again!, server)).toContain(`"orderId":${order.orderId}`);
    }
  });

  test.skipIf(!hasSqlite)('Query the journal with sqlite3', async () => {
    const out = await run(blocks('Query the journal with sqlite3', 'sh')[0]!);
    expect(out).toMatch(/^\d{4}-\d{2}-\d{2} [\d:.]+\|/);
  });
});

test.skipIf(!hasSqlite)('Crash it', async () => {
  const [killed, , ...look] = blocks('Crash it', 'sh')[0]!.split('\n');
  await run(killed!.replace('--demo', '--demo --port 0'));
  const server = await ServerProcess.start({ data: join(folder, 'data/crash'), args: ['--demo'] });
  try {
    const out = await run(look.join('\n'));
    expect(out).toContain('epoch');
    expect(out).toMatch(/"epochs":2,"stateHash":"[0-9a-f]{16}"/);
  } finally {
    await server.remove();
  }
});
